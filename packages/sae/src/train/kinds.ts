import { z } from "zod";
import { type CommonTrainConfig, commonFields } from "./common-config.ts";
import {
  type BatchTopKCrosscoderTrainConfig,
  type CrosscoderTrainConfig,
  crosscoderSchemas,
} from "./crosscoder-config.ts";

/** What architectures with a penalty on their activations share. */
export interface PenaltyTrainConfig extends CommonTrainConfig {
  /** lambda: weight of the sparsity penalty, for inputs of unit mean square norm. */
  readonly sparsity: number;
  /** Steps over which lambda rises linearly from 0. */
  readonly sparsityWarmup: number;
  /** Largest global norm of the gradients, above which all are scaled down; null, the default, for no clipping. */
  readonly gradientClip: number | null;
}

/** Training of a ReLU SAE with an L1 penalty. */
export interface StandardTrainConfig extends PenaltyTrainConfig {
  readonly architecture: "standard";
  /** `"unit"`: penalty sum f, rows of unit norm. `"free"`: penalty sum f_i ||d_i||, rows of any norm (April 2024). */
  readonly decoderNorm: "free" | "unit";
  /** Norm of the rows of W_dec, and of W_enc^T, at the start: 0.1 by default for `"free"`, and always 1 for `"unit"`. */
  readonly initialDecoderNorm: number | null;
}

/** Training of a JumpReLU SAE with a tanh penalty and a decoder of any norm. */
export interface JumpReluTanhTrainConfig extends PenaltyTrainConfig {
  readonly architecture: "jumprelu_tanh";
  /** c: the penalty is `tanh(c f_i ||d_i||)`; 4 by default. */
  readonly tanhScale: number;
  /** eps: width of the rectangle kernel, for inputs of unit mean square norm. */
  readonly bandwidth: number;
  /** theta of every latent at the start. */
  readonly initialThreshold: number;
  /** `"raw"` trains theta, clamped at 0 from below; `"log"` trains log theta. */
  readonly thresholdForm: "log" | "raw";
  /** Whether the pseudo-derivative reaches the pre-activations, and so the encoder; true by default. */
  readonly gradientToInput: boolean;
  /** mu: weight of the pre-activation term; 0 for none. */
  readonly preActivationWeight: number;
  /** Whether that term is for all latents, the default, or for the dead ones. */
  readonly preActivationOn: "all" | "dead";
  /** Norm of the rows of W_dec, and of W_enc^T, at the start; 0.1 by default. */
  readonly initialDecoderNorm: number;
}

/** Training of a Gated SAE. */
export interface GatedTrainConfig extends PenaltyTrainConfig {
  readonly architecture: "gated";
}

/** Training of a ReLU SAE with an Lp^p penalty whose p falls from 1. */
export interface PAnnealTrainConfig extends PenaltyTrainConfig {
  readonly architecture: "p_anneal";
  /** The step, counting from 0, of the first change of p, and that of the last. */
  readonly annealStart: number;
  readonly annealEnd: number;
  /** How many changes of p there are, each by the same amount; 10 by default. */
  readonly anneals: number;
  /** p after the last change; 0.2 by default. */
  readonly finalP: number;
  /** Batches over which the penalties of the old and the new p are averaged to rescale lambda; 10 by default. */
  readonly averagedSteps: number;
}

/** Training of a BatchTopK SAE. */
export interface BatchTopKTrainConfig extends CommonTrainConfig {
  readonly architecture: "batchtopk";
  /** Mean number of latents that are active for an activation; need not be an integer. */
  readonly k: number;
  /** alpha: weight of the AuxK loss; 0 for none. */
  readonly auxiliaryWeight: number;
  /** Dead latents that explain the residual; null, the default, for d_in / 2. */
  readonly auxiliaryK: number | null;
  /** Share by which the threshold follows each batch's smallest activation; 0.01 by default. */
  readonly thresholdRate: number;
  /** Step from which the threshold is a running mean; until then it is the last batch's. 0 by default. */
  readonly thresholdStart: number;
  /** Largest global norm of the gradients; null, the default, for no clipping. */
  readonly gradientClip: number | null;
}

/** Training of a Matryoshka BatchTopK SAE. */
export interface MatryoshkaBatchTopKTrainConfig extends Omit<BatchTopKTrainConfig, "architecture"> {
  readonly architecture: "matryoshka_batchtopk";
  /** How many latents each prefix has, ascending; the last is `dSae`. */
  readonly widths: readonly number[];
  /** Whether the prefixes' losses are averaged, the default, or summed (as SAELens does). */
  readonly prefixLoss: "mean" | "sum";
}

/** Training of an AbsTopK SAE. */
export interface AbsTopKTrainConfig extends CommonTrainConfig {
  readonly architecture: "abstopk";
  readonly k: number;
  /** alpha: weight of the AuxK loss; 0 for none. */
  readonly auxiliaryWeight: number;
  /** Dead latents that explain the residual; null, the default, for d_in / 2. */
  readonly auxiliaryK: number | null;
  /** Largest global norm of the gradients; null, the default, for no clipping. */
  readonly gradientClip: number | null;
}

/** Training of a matching pursuit SAE. */
export interface MatchingPursuitTrainConfig extends CommonTrainConfig {
  readonly architecture: "matching_pursuit";
  /** A token is done when the norm of what is left of it is below this, for inputs of unit mean square norm; 0.01 by default. */
  readonly residualThreshold: number;
  /** Most steps for a token; null, the default, for d_in. Each costs an encoder product. */
  readonly maxIterations: number | null;
  /** Whether a token is done too when a step took a latent that it had; true by default. */
  readonly stopOnDuplicateSupport: boolean;
  /** Largest global norm of the gradients; null, the default, for no clipping. */
  readonly gradientClip: number | null;
}

/** Training of an architecture of one's own, given to `trainSae` as `architectures`. */
export interface CustomTrainConfig extends CommonTrainConfig {
  readonly architecture: "custom";
  /** The architecture's name. */
  readonly name: string;
  /** lambda and its warm-up, for architectures that have one; 0 by default. */
  readonly sparsity: number;
  readonly sparsityWarmup: number;
  readonly gradientClip: number | null;
  /** What the architecture wants to know, JSON. It checks them itself. */
  readonly options: Readonly<Record<string, unknown>>;
}

const clip = { gradientClip: z.number().positive().nullable().default(null) };
const penalty = {
  ...clip,
  sparsity: z.number().nonnegative(),
  sparsityWarmup: z.int().nonnegative(),
};
const batchTopK = {
  ...clip,
  k: z.number().positive(),
  auxiliaryWeight: z.number().nonnegative(),
  auxiliaryK: z.int().positive().nullable().default(null),
  thresholdRate: z.number().positive().max(1).default(0.01),
  thresholdStart: z.int().nonnegative().default(0),
};

/** The schemas of the configurations above, and of crosscoders. */
export const kindSchemas = {
  ...crosscoderSchemas,
  absTopK: z.object({
    ...commonFields,
    ...clip,
    architecture: z.literal("abstopk"),
    k: z.int().positive(),
    auxiliaryWeight: z.number().nonnegative(),
    auxiliaryK: z.int().positive().nullable().default(null),
  }),
  matchingPursuit: z.object({
    ...commonFields,
    ...clip,
    architecture: z.literal("matching_pursuit"),
    residualThreshold: z.number().nonnegative().default(0.01),
    maxIterations: z.int().positive().nullable().default(null),
    stopOnDuplicateSupport: z.boolean().default(true),
  }),
  standard: z.object({
    ...commonFields,
    ...penalty,
    architecture: z.literal("standard"),
    decoderNorm: z.enum(["free", "unit"]),
    initialDecoderNorm: z.number().positive().nullable().default(null),
  }),
  gated: z.object({ ...commonFields, ...penalty, architecture: z.literal("gated") }),
  jumpReluTanh: z.object({
    ...commonFields,
    ...penalty,
    architecture: z.literal("jumprelu_tanh"),
    tanhScale: z.number().positive().default(4),
    bandwidth: z.number().positive(),
    initialThreshold: z.number().positive(),
    thresholdForm: z.enum(["raw", "log"]),
    gradientToInput: z.boolean().default(true),
    preActivationWeight: z.number().nonnegative(),
    preActivationOn: z.enum(["all", "dead"]).default("all"),
    initialDecoderNorm: z.number().positive().default(0.1),
  }),
  pAnneal: z.object({
    ...commonFields,
    ...penalty,
    architecture: z.literal("p_anneal"),
    annealStart: z.int().nonnegative(),
    annealEnd: z.int().nonnegative(),
    anneals: z.int().positive().default(10),
    finalP: z.number().positive().max(1).default(0.2),
    averagedSteps: z.int().positive().default(10),
  }),
  batchTopK: z.object({ ...commonFields, ...batchTopK, architecture: z.literal("batchtopk") }),
  matryoshkaBatchTopK: z.object({
    ...commonFields,
    ...batchTopK,
    architecture: z.literal("matryoshka_batchtopk"),
    widths: z.array(z.int().positive()).min(1),
    prefixLoss: z.enum(["mean", "sum"]).default("mean"),
  }),
  custom: z.object({
    ...commonFields,
    ...clip,
    architecture: z.literal("custom"),
    name: z.string().min(1),
    sparsity: z.number().nonnegative().default(0),
    sparsityWarmup: z.int().nonnegative().default(0),
    options: z.record(z.string(), z.unknown()).default({}),
  }),
};

type Kind =
  | AbsTopKTrainConfig
  | BatchTopKCrosscoderTrainConfig
  | BatchTopKTrainConfig
  | CrosscoderTrainConfig
  | CustomTrainConfig
  | GatedTrainConfig
  | JumpReluTanhTrainConfig
  | MatchingPursuitTrainConfig
  | MatryoshkaBatchTopKTrainConfig
  | PAnnealTrainConfig
  | StandardTrainConfig;

const withoutTranscoder: ReadonlySet<string> = new Set([
  "batchtopk_crosscoder",
  "crosscoder",
  "matching_pursuit",
]);

/** What is wrong with a configuration that its schema cannot see, or null. */
export function faultOf(config: Kind): string | null {
  const { architecture, dSae } = config;
  if (config.transcoder !== null && withoutTranscoder.has(architecture))
    return `transcoder: ${architecture} reads and writes the same sites`;
  if ("k" in config) {
    if (config.k > dSae) return `k: ${config.k} is more than the ${dSae} latents`;
    if (Math.floor(config.k * config.batchSize) < 1)
      return `k: ${config.k} of a batch of ${config.batchSize} keeps no latent at all`;
  }
  if (architecture === "matryoshka_batchtopk") {
    const { widths } = config;
    if (widths.at(-1) !== dSae || widths.some((width, at) => width <= (widths[at - 1] ?? 0)))
      return `widths: ${widths.join(", ")} do not rise to the ${dSae} latents`;
  }
  if (architecture === "p_anneal" && config.annealEnd < config.annealStart + config.anneals - 1)
    return `annealEnd: from ${config.annealStart} to ${config.annealEnd} there are too few steps for ${config.anneals} changes`;
  if (
    architecture === "standard" &&
    config.decoderNorm === "unit" &&
    (config.initialDecoderNorm ?? 1) !== 1
  )
    return `initialDecoderNorm: ${config.initialDecoderNorm}, but decoderNorm "unit" keeps rows at norm 1`;
  return null;
}
