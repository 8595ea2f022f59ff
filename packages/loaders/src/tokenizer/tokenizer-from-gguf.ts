import { FormatError } from "@latentkit/core";
import type { GgufMetadata } from "../gguf/metadata.ts";
import { MetadataReader } from "../gguf/metadata-reader.ts";
import { buildTokenizer } from "./build-tokenizer.ts";
import { spellsBytes } from "./byte-level.ts";
import { parseDefinition } from "./definition.ts";
import type { TokenizerSettings } from "./definition.ts";
import type { Tokenizer } from "./tokenizer.ts";

const gpt2 = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true };
const singleDigits = {
  type: "Sequence",
  pretokenizers: [{ type: "Digits", individual_digits: true }, gpt2],
};

const llama3 = {
  type: "Sequence",
  pretokenizers: [
    {
      type: "Split",
      pattern: {
        Regex: String.raw`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`,
      },
      behavior: "Isolated",
      invert: false,
    },
    { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false },
  ],
};

/** How llama.cpp's names for pre-tokenizers cut text, in the words of `tokenizer.json`. */
const preTokenizers: ReadonlyMap<string, object> = /* @__PURE__ */ new Map<string, object>([
  ...["gpt-2", "gpt2", "mpt", "olmo", "jais", "trillion", "granite-docling"].map(
    (name) => [name, gpt2] as const,
  ),
  ...["smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b"].map(
    (name) => [name, singleDigits] as const,
  ),
  ...["llama3", "llama-v3", "llama-bpe"].map((name) => [name, llama3] as const),
]);

const controlToken = 3;
const userDefinedToken = 4;

/**
 * The tokenizer that a GGUF file describes: byte-level BPE (`tokenizer.ggml.model = gpt2`) with a pre-tokenizer that is known by
 * name. It gives the ids of the `tokenizer.json` that the file was converted from.
 *
 * Throws {@link FormatError} `TOKENIZER_UNSUPPORTED` for other kinds and `GGUF_METADATA` for missing metadata.
 *
 * @param where the file's name, for messages.
 */
export function tokenizerFromGguf(metadata: GgufMetadata, where = "GGUF metadata"): Tokenizer {
  const read = new MetadataReader(metadata, where);
  const model = read.string("tokenizer.ggml.model");
  if (model !== "gpt2")
    throw unsupported(
      `the tokenizer is of kind "${model}"; "gpt2", byte-level BPE, can be read`,
      where,
    );
  const pre = read.has("tokenizer.ggml.pre") ? read.string("tokenizer.ggml.pre") : "default";
  const preTokenizer = preTokenizers.get(pre);
  if (preTokenizer === undefined) {
    throw unsupported(
      `the tokenizer cuts text in the way "${pre}"; ${[...preTokenizers.keys()].join(", ")} are known`,
      where,
    );
  }
  const tokens = read.strings("tokenizer.ggml.tokens");
  const settings = readSettings(read, tokens, where);
  const definition = parseDefinition({
    added_tokens: addedTokens(read, tokens),
    normalizer: null,
    pre_tokenizer: preTokenizer,
    post_processor: postProcessor(read, settings, preTokenizer === llama3),
    decoder: { type: "ByteLevel" },
    model: {
      type: "BPE",
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges: readMerges(read, where),
      // Llama 3 takes a word that is in the vocabulary whole, whatever its merges say.
      ignore_merges: preTokenizer === llama3,
    },
  });
  return buildTokenizer(definition, settings);
}

function readMerges(read: MetadataReader, where: string): readonly (readonly [string, string])[] {
  return read.strings("tokenizer.ggml.merges").map((merge) => {
    const [left, right, ...rest] = merge.split(" ");
    if (left !== undefined && right !== undefined && rest.length === 0)
      return [left, right] as const;
    throw new FormatError({
      code: "GGUF_METADATA",
      message: `the merge ${JSON.stringify(merge)} is not two tokens with a space between`,
      fix: "convert the model again with a current llama.cpp",
      where,
    });
  });
}

/** Control tokens are special; user-defined ones are only kept whole. Neither is where it cannot be spelled in bytes. */
function addedTokens(read: MetadataReader, tokens: readonly string[]): readonly object[] {
  if (!read.has("tokenizer.ggml.token_type")) return [];
  const added: object[] = [];
  for (const [id, type] of read.numbers("tokenizer.ggml.token_type").entries()) {
    const content = tokens[id] ?? "";
    const special = type === controlToken;
    if (content === "" || !(special ? spellsBytes(content) : type === userDefinedToken)) continue;
    added.push({ id, content, special, normalized: false });
  }
  return added;
}

function readSettings(
  read: MetadataReader,
  tokens: readonly string[],
  where: string,
): TokenizerSettings {
  const token = (key: string): string | null => {
    if (!read.has(key)) return null;
    const id = read.count(key);
    const found = tokens[id];
    if (found !== undefined) return found;
    throw new FormatError({
      code: "GGUF_METADATA",
      message: `${key} is ${id}, but there are ${tokens.length} tokens`,
      fix: "convert the model again with a current llama.cpp",
      where,
    });
  };
  return {
    bos: token("tokenizer.ggml.bos_token_id"),
    eos: token("tokenizer.ggml.eos_token_id"),
    pad: token("tokenizer.ggml.padding_token_id"),
    unknown: null,
    chatTemplate: read.has("tokenizer.chat_template")
      ? read.string("tokenizer.chat_template")
      : null,
    cleanUpSpaces: false,
  };
}

/** @param bosUnlessTold llama.cpp puts BOS before Llama 3's texts where the file does not say whether to. */
function postProcessor(
  read: MetadataReader,
  { bos, eos }: TokenizerSettings,
  bosUnlessTold: boolean,
): object | null {
  const special = (token: string | null, wanted: boolean): object[] =>
    token !== null && wanted ? [{ SpecialToken: { id: token, type_id: 0 } }] : [];
  const single = [
    ...special(bos, read.boolean("tokenizer.ggml.add_bos_token", bosUnlessTold)),
    { Sequence: { id: "A", type_id: 0 } },
    ...special(eos, read.boolean("tokenizer.ggml.add_eos_token", false)),
  ];
  return single.length === 1
    ? null
    : { type: "TemplateProcessing", single, pair: [], special_tokens: {} };
}

function unsupported(message: string, where: string): FormatError {
  return new FormatError({
    code: "TOKENIZER_UNSUPPORTED",
    message,
    fix: "get the model as a safetensors folder with its tokenizer.json",
    where,
  });
}
