import { FormatError } from "@latentkit/core";
import type { HubListing } from "./hub-listing.ts";
import type { HubReference } from "./hub-reference.ts";

/** The small files beside the weights: those that we read, and those that Python's libraries ask for. */
const beside: readonly string[] = ["config.json", "generation_config.json"];
const tokenizers: readonly string[] = [
  "tokenizer.json",
  "tokenizer_config.json",
  "special_tokens_map.json",
  "chat_template.jinja",
];

/** What has to be there before a model can be opened. */
export interface ChosenFiles {
  readonly kind: "safetensors" | "gguf";
  /** Configuration and tokenizer. */
  readonly small: readonly string[];
  /** The weights, or the index that names them, or the GGUF file. */
  readonly weights: string;
}

/**
 * Which files of a repository make up the model: `model.safetensors`, or its index, or the only safetensors file; failing that, the
 * only GGUF file. A GGUF file that the reference names is taken instead.
 *
 * Throws {@link FormatError} `HUB_FILE_MISSING` or `HUB_NO_WEIGHTS`.
 */
export function chooseFiles(
  listing: HubListing,
  reference: HubReference,
  withTokenizer: boolean,
): ChosenFiles {
  const where = `${reference.repo}@${reference.revision}`;
  const names = listing.files.map(({ path }) => path);
  const ggufs = names.filter((name) => name.toLowerCase().endsWith(".gguf"));
  if (reference.file !== undefined) {
    if (names.includes(reference.file)) return { kind: "gguf", small: [], weights: reference.file };
    throw new FormatError({
      code: "HUB_FILE_MISSING",
      message: `the repository has no "${reference.file}"${ggufs.length === 0 ? "" : `, but ${ggufs.join(", ")}`}`,
      fix: "check the spelling, with capitals as they are",
      where,
    });
  }
  const tensors = names.filter((name) => /^[^/]+\.safetensors$/.test(name));
  const weights =
    ["model.safetensors", "model.safetensors.index.json"].find((name) => names.includes(name)) ??
    (tensors.length === 1 ? tensors[0] : undefined);
  if (weights !== undefined) {
    const small = [...beside, ...(withTokenizer ? tokenizers : [])];
    return { kind: "safetensors", small: small.filter((name) => names.includes(name)), weights };
  }
  const [gguf] = ggufs;
  if (gguf !== undefined && ggufs.length === 1) return { kind: "gguf", small: [], weights: gguf };
  throw noWeights(reference, tensors, ggufs, names, where);
}

function noWeights(
  { repo }: HubReference,
  tensors: readonly string[],
  ggufs: readonly string[],
  names: readonly string[],
  where: string,
): FormatError {
  const pickle = names.find((name) => /\.(?:bin|pt|pth|ckpt)$/.test(name));
  if (ggufs.length > 0) {
    return new FormatError({
      code: "HUB_NO_WEIGHTS",
      message: `the repository has ${ggufs.length} GGUF files: ${ggufs.join(", ")}`,
      fix: `name one: ${repo}/${ggufs[0] ?? ""}`,
      where,
    });
  }
  if (tensors.length === 0 && pickle !== undefined) {
    return new FormatError({
      code: "HUB_NO_WEIGHTS",
      message: `the weights are a Python pickle (${pickle}), which can run any program that its author put in, so it is never opened`,
      fix: "look for a revision with safetensors (for example @refs/pr/1), or convert the model in Python where you trust it: model.save_pretrained(folder)",
      where,
    });
  }
  return new FormatError({
    code: "HUB_NO_WEIGHTS",
    message:
      tensors.length === 0
        ? "the repository has no weights in safetensors or GGUF"
        : `the repository has ${tensors.join(", ")}, but no model.safetensors and no model.safetensors.index.json`,
    fix: "use a model that Hugging Face transformers loads with AutoModelForCausalLM",
    where,
  });
}
