import { ConfigError, FormatError } from "@latentkit/core";
import { didYouMean } from "@latentkit/loaders";
import { z } from "zod";
import {
  describeIssues,
  parseSaeConfig,
  type SaeConfig,
  type SaeConfigInput,
  type SaeMetadata,
} from "../config.ts";

/** The version whose format we write: what SAELens dates a configuration by. */
const writtenVersion = "6.54.0";

/** Our metadata names, and those of SAELens. Keys without a partner keep their name. */
const renamed: Readonly<Record<string, string>> = {
  modelName: "model_name",
  hookName: "hook_name",
  hookNameOut: "hook_name_out",
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
  "hook_name_out",
  "hook_head_index",
  "model_from_pretrained_kwargs",
  "prepend_bos",
  "context_size",
  "dataset_path",
  "neuronpedia_id",
  "sae_lens_training_version",
  "seqpos_slice",
];

/** SAELens's names of what we compute as a JumpReLU, a transcoder of it or a training form. */
type ReadArchitecture = "gated" | "standard" | SaeConfig["architecture"];

/** What a name in `architecture` stands for. */
interface Known {
  readonly architecture: ReadArchitecture;
  readonly transcoder?: boolean;
  readonly skip?: boolean;
  readonly threshold?: SaeLensConfig["threshold"];
}

const known: Readonly<Record<string, Known>> = {
  standard: { architecture: "standard", threshold: "zero" },
  gated: { architecture: "gated" },
  jumprelu: { architecture: "jumprelu", threshold: "each" },
  topk: { architecture: "topk" },
  abstopk: { architecture: "abstopk" },
  matching_pursuit: { architecture: "matching_pursuit" },
  // As training checkpoints name them; saved for inference they are jumprelu.
  batchtopk: { architecture: "jumprelu", threshold: "one" },
  matryoshka_batchtopk: { architecture: "jumprelu", threshold: "one" },
  transcoder: { architecture: "standard", threshold: "zero", transcoder: true },
  skip_transcoder: { architecture: "standard", threshold: "zero", transcoder: true, skip: true },
  jumprelu_transcoder: { architecture: "jumprelu", threshold: "each", transcoder: true },
  jumprelu_skip_transcoder: {
    architecture: "jumprelu",
    threshold: "each",
    transcoder: true,
    skip: true,
  },
  // Ours: SAELens has no such classes, and says so.
  topk_transcoder: { architecture: "topk", transcoder: true },
  topk_skip_transcoder: { architecture: "topk", transcoder: true, skip: true },
  abstopk_transcoder: { architecture: "abstopk", transcoder: true },
  abstopk_skip_transcoder: { architecture: "abstopk", transcoder: true, skip: true },
};

/** A SAELens configuration, and what loading must do to the weights that go with it. */
export interface SaeLensConfig {
  readonly config: SaeConfig;
  /** The architecture that the file names, without what makes it a transcoder. */
  readonly architecture: ReadArchitecture;
  /** Where theta is: one for each latent, one for all (`topk_threshold`), or none because a ReLU's is 0. */
  readonly threshold: "each" | "one" | "zero";
  /** Whether there is W_skip. */
  readonly hasSkip: boolean;
  /** False for a matching pursuit SAE that neither subtracts nor adds b_dec. */
  readonly hasDecoderBias: boolean;
  /** TopK selects by pre-activation times decoder norm; to be folded into the weights. */
  readonly rescaleByDecoderNorm: boolean;
  /** Inputs were scaled by sqrt(d_in) / E||x||, a factor that the configuration does not hold. */
  readonly scaledInput: boolean;
  /** Inputs were whitened, by matrices that the configuration does not hold. */
  readonly whitenedInput: boolean;
  /** A `scaling_factor` among the weights multiplies latents before they are decoded, as before 6.0. */
  readonly fineTuned: boolean;
}

const fileSchema = z.looseObject({
  architecture: z.string().default("standard"),
  d_in: z.int().positive(),
  d_sae: z.int().positive(),
  d_out: z.int().positive().optional(),
  // BatchTopK's may be a fraction.
  k: z.number().positive().optional(),
  residual_threshold: z.number().nonnegative().optional(),
  max_iterations: z.int().positive().nullish(),
  stop_on_duplicate_support: z.boolean().optional(),
  apply_b_dec_to_input: z.boolean().optional(),
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
 * function): SAEs of all its architectures but temporal ones, and transcoders.
 *
 * @throws FormatError `SAE_CONFIG_INVALID`; `SAE_ARCHITECTURE_UNKNOWN` with the list of known ones; ConfigError `SAE_UNSUPPORTED` for
 *   combinations that SAELens does not compute either
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
  const kind = knownArchitecture(legacyTopK ? "topk" : file.architecture, where);
  const { architecture, transcoder = false, skip = false, threshold = "each" } = kind;
  const pursuit = architecture === "matching_pursuit";
  const { perToken, scaledInput, whitenedInput } = normalisationOf(file, where);
  if (pursuit && (scaledInput || whitenedInput))
    throw unsupported("a matching pursuit on scaled or whitened inputs folded", where);
  if (transcoder && whitenedInput)
    throw unsupported("the whitening of a transcoder's input folded", where);
  const metadata = metadataOf(file, architecture);
  const reshape =
    file.reshape_activations ??
    (metadata.hookName?.includes("hook_z") === true ? "hook_z" : "none");
  const subtracts = file.apply_b_dec_to_input ?? !transcoder;
  const common = {
    dIn: file.d_in,
    dSae: file.d_sae,
    ...(transcoder ? { dOut: file.d_out ?? file.d_in } : {}),
    applyBDecToInput: subtracts || pursuit,
    normalizeActivations: perToken,
    reshapeActivations: reshape,
    metadata,
  };
  const one = threshold === "one";
  return {
    config: parseSaeConfig({ ...common, ...ownFields(file, architecture) }, where),
    architecture,
    threshold,
    hasSkip: skip,
    hasDecoderBias: !pursuit || subtracts,
    rescaleByDecoderNorm:
      (architecture === "topk" || architecture === "abstopk" || one) &&
      file.rescale_acts_by_decoder_norm,
    scaledInput,
    whitenedInput,
    fineTuned: file.finetuning_scaling_factor === true,
  };
}

type File = z.output<typeof fileSchema>;

/** The fields of a configuration that one architecture has. */
function ownFields(file: File, architecture: ReadArchitecture): Readonly<Record<string, unknown>> {
  if (architecture === "topk" || architecture === "abstopk")
    return { architecture, k: file.k ?? file.activation_fn_kwargs?.k };
  if (architecture !== "matching_pursuit") return { architecture: "jumprelu" };
  return {
    architecture,
    residualThreshold: file.residual_threshold,
    maxIterations: file.max_iterations,
    stopOnDuplicateSupport: file.stop_on_duplicate_support,
  };
}

/** What `normalize_activations` asks for: something to do to each token, or to fold. */
function normalisationOf(
  { normalize_activations: given }: File,
  where: string,
): Pick<SaeLensConfig, "scaledInput" | "whitenedInput"> & {
  readonly perToken: SaeConfig["normalizeActivations"];
} {
  const mode = given === true ? "expected_average_only_in" : given || "none";
  const perToken = mode === "layer_norm" || mode === "constant_norm_rescale" ? mode : "none";
  const [scaledInput, whitenedInput] = [
    mode === "expected_average_only_in",
    mode === "covariance_whitening",
  ];
  if (mode !== "none" && perToken === "none" && !scaledInput && !whitenedInput)
    throw unsupported(`normalize_activations "${mode}"`, where);
  return { perToken, scaledInput, whitenedInput };
}

/**
 * `cfg.json` as SAELens 6 writes it: it reads this without change. Extra metadata stays under its own name. Transcoders with TopK or
 * AbsTopK latents, which SAELens has not, get names of their own, `topk_transcoder` for one.
 *
 * @param hasSkip whether a transcoder has W_skip
 */
export function saeLensConfigOf(given: SaeConfigInput, hasSkip = false): Record<string, unknown> {
  const config = parseSaeConfig(given);
  const metadata: Record<string, unknown> = {
    sae_lens_version: writtenVersion,
    sae_lens_training_version: writtenVersion,
    dataset_path: null,
    hook_head_index: null,
    model_from_pretrained_kwargs: {},
  };
  for (const [name, value] of Object.entries(config.metadata))
    if (value !== undefined) metadata[renamed[name] ?? name] = value;
  const kind = config.dOut === null ? "" : hasSkip ? "_skip_transcoder" : "_transcoder";
  return {
    ...("k" in config ? { k: config.k, rescale_acts_by_decoder_norm: false } : {}),
    ...(config.architecture === "matching_pursuit"
      ? {
          residual_threshold: config.residualThreshold,
          max_iterations: config.maxIterations,
          stop_on_duplicate_support: config.stopOnDuplicateSupport,
        }
      : {}),
    d_in: config.dIn,
    ...(config.dOut === null ? {} : { d_out: config.dOut }),
    d_sae: config.dSae,
    dtype: "float32",
    device: "cpu",
    apply_b_dec_to_input: config.applyBDecToInput,
    normalize_activations: config.normalizeActivations,
    reshape_activations: config.reshapeActivations,
    metadata,
    architecture: `${config.architecture}${kind}`,
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

function knownArchitecture(name: string, where: string): Known {
  const found = Object.hasOwn(known, name) ? known[name] : undefined;
  if (found !== undefined) return found;
  const names = Object.keys(known);
  const near = didYouMean(name, names);
  throw new FormatError({
    code: "SAE_ARCHITECTURE_UNKNOWN",
    message: `architecture "${name}" is not known${near === null ? "" : `; did you mean "${near}"?`} Known are ${names.join(", ")}`,
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
