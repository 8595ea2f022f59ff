import { ConfigError, FormatError } from "@latentkit/core";
import { didYouMean } from "@latentkit/loaders";
import { z } from "zod";
import { architectureNames } from "../architecture.ts";
import { describeIssues, parseSaeConfig, type SaeConfig, type SaeMetadata } from "../config.ts";

/** The version whose format we write: what SAELens dates a configuration by. */
const writtenVersion = "6.54.0";

/** Our metadata names, and those of SAELens. Keys without a partner keep their name. */
const renamed: Readonly<Record<string, string>> = {
  modelName: "model_name",
  hookName: "hook_name",
  weightsHash: "weights_hash",
  contextSize: "context_size",
  prependBos: "prepend_bos",
};
const renamedBack: ReadonlyMap<string, string> = new Map(
  Object.entries(renamed).map(([ours, theirs]) => [theirs, ours]),
);

/** What SAELens before 6.0 kept beside the other fields instead of under `metadata`. */
const flatMetadata = [
  "model_name",
  "hook_name",
  "hook_head_index",
  "model_from_pretrained_kwargs",
  "prepend_bos",
  "context_size",
  "dataset_path",
  "neuronpedia_id",
  "sae_lens_training_version",
  "seqpos_slice",
];

/** Configurations that SAELens has and that we do not compute, with what it would take. */
const unsupportedNormalisation = new Set([
  "layer_norm",
  "constant_norm_rescale",
  "covariance_whitening",
]);

/** A SAELens configuration, and what loading must do to the weights that go with it. */
export interface SaeLensConfig {
  readonly config: SaeConfig;
  /** The architecture that the file names. */
  readonly architecture: "gated" | "jumprelu" | "standard" | "topk";
  /** TopK selects by pre-activation times decoder norm; to be folded into the weights. */
  readonly rescaleByDecoderNorm: boolean;
  /** Inputs were scaled by sqrt(d_in) / E||x||, a factor that the configuration does not hold. */
  readonly scaledInput: boolean;
}

const fileSchema = z.looseObject({
  architecture: z.string().default("standard"),
  d_in: z.int().positive(),
  d_sae: z.int().positive(),
  k: z.int().positive().optional(),
  apply_b_dec_to_input: z.boolean().default(true),
  normalize_activations: z.union([z.string(), z.boolean()]).nullish(),
  reshape_activations: z.string().optional(),
  rescale_acts_by_decoder_norm: z.boolean().default(false),
  activation_fn: z.string().optional(),
  activation_fn_str: z.string().optional(),
  activation_fn_kwargs: z.looseObject({ k: z.int().positive().optional() }).nullish(),
  finetuning_scaling_factor: z.boolean().nullish(),
  metadata: z.record(z.string(), z.unknown()).optional(),
});

/**
 * Reads `cfg.json` as SAELens 6 writes it, or as earlier versions did (metadata beside the other fields, TopK as an activation
 * function).
 *
 * @throws FormatError `SAE_CONFIG_INVALID`; `SAE_ARCHITECTURE_UNKNOWN` with the list of known ones; `SAE_UNSUPPORTED` for input
 *   normalisation per token, whitening or fine-tuning factors
 */
export function parseSaeLensConfig(json: unknown, where: string): SaeLensConfig {
  const parsed = fileSchema.safeParse(upgraded(json));
  if (!parsed.success) {
    throw new FormatError({
      code: "SAE_CONFIG_INVALID",
      message: `this is not a SAELens configuration: ${describeIssues(parsed.error)}`,
      fix: "give the cfg.json that SAELens or Latentkit wrote",
      where,
    });
  }
  const file = parsed.data;
  const legacyTopK = (file.activation_fn ?? file.activation_fn_str) === "topk";
  const architecture = knownArchitecture(legacyTopK ? "topk" : file.architecture, where);
  if (file.finetuning_scaling_factor === true)
    throw unsupported("fine-tuned scaling factors", where);
  const normalisation =
    file.normalize_activations === true
      ? "expected_average_only_in"
      : file.normalize_activations || "none";
  if (unsupportedNormalisation.has(normalisation))
    throw unsupported(
      `normalize_activations "${normalisation}", which changes the input token by token`,
      where,
    );
  if (normalisation !== "none" && normalisation !== "expected_average_only_in")
    throw unsupported(`normalize_activations "${normalisation}"`, where);
  const metadata = metadataOf(file, architecture);
  const reshape =
    file.reshape_activations ??
    (metadata.hookName?.includes("hook_z") === true ? "hook_z" : "none");
  const common = {
    dIn: file.d_in,
    dSae: file.d_sae,
    applyBDecToInput: file.apply_b_dec_to_input,
    reshapeActivations: reshape,
    metadata,
  };
  const k = file.k ?? file.activation_fn_kwargs?.k;
  return {
    config: parseSaeConfig(
      architecture === "topk"
        ? { ...common, architecture, k }
        : { ...common, architecture: "jumprelu" },
      where,
    ),
    architecture,
    rescaleByDecoderNorm: architecture === "topk" && file.rescale_acts_by_decoder_norm,
    scaledInput: normalisation === "expected_average_only_in",
  };
}

/** `cfg.json` as SAELens 6 writes it: it reads this without change. Extra metadata stays under its own name. */
export function saeLensConfigOf(config: SaeConfig): Record<string, unknown> {
  const metadata: Record<string, unknown> = {
    sae_lens_version: writtenVersion,
    sae_lens_training_version: writtenVersion,
    dataset_path: null,
    hook_head_index: null,
    model_from_pretrained_kwargs: {},
  };
  for (const [name, value] of Object.entries(config.metadata))
    if (value !== undefined) metadata[renamed[name] ?? name] = value;
  return {
    ...(config.architecture === "topk" ? { k: config.k, rescale_acts_by_decoder_norm: false } : {}),
    d_in: config.dIn,
    d_sae: config.dSae,
    dtype: "float32",
    device: "cpu",
    apply_b_dec_to_input: config.applyBDecToInput,
    normalize_activations: config.normalizeActivations,
    reshape_activations: config.reshapeActivations,
    metadata,
    architecture: config.architecture,
  };
}

/** Gives fields of versions before 6.0 the names that they have now. */
function upgraded(json: unknown): unknown {
  if (typeof json !== "object" || json === null || "metadata" in json) return json;
  const old = new Map<string, unknown>(Object.entries(json));
  for (const [before, after] of [
    ["hook_point", "hook_name"],
    ["hook_point_head_index", "hook_head_index"],
  ] as const) {
    if (old.has(before) && !old.has(after)) old.set(after, old.get(before));
  }
  // Those versions always prepended a BOS token unless they said otherwise.
  if (!old.has("prepend_bos")) old.set("prepend_bos", true);
  const metadata = Object.fromEntries(
    flatMetadata.filter((name) => old.has(name)).map((name) => [name, old.get(name)]),
  );
  return { ...json, metadata };
}

function metadataOf(file: z.output<typeof fileSchema>, architecture: string): SaeMetadata {
  const entries = Object.entries(file.metadata ?? {}).filter(([, value]) => value !== null);
  const metadata = Object.fromEntries(
    entries.map(([name, value]) => [renamedBack.get(name) ?? name, value]),
  );
  // A JumpReLU of threshold 0 is exactly a ReLU, a Gated SAE one of another threshold, and a reader may want to know what it was.
  return architecture === "standard" || architecture === "gated"
    ? { ...metadata, convertedFrom: architecture }
    : metadata;
}

function knownArchitecture(name: string, where: string): SaeLensConfig["architecture"] {
  if (name === "gated" || name === "jumprelu" || name === "standard" || name === "topk")
    return name;
  const known = [...architectureNames, "standard", "gated"];
  const near = didYouMean(name, known);
  throw new FormatError({
    code: "SAE_ARCHITECTURE_UNKNOWN",
    message: `architecture "${name}" is not known${near === null ? "" : `; did you mean "${near}"?`} Known are ${known.join(", ")}`,
    fix: "give an SAE of one of these architectures",
    where,
  });
}

function unsupported(what: string, where: string): ConfigError {
  return new ConfigError({
    code: "SAE_UNSUPPORTED",
    message: `this SAE needs ${what}, which is not supported`,
    fix: "fold it into the weights with SAELens and save again, or give another SAE",
    where,
  });
}
