import { ConfigError } from "@latentkit/core";
import { z } from "zod";
import { describeIssues, type WithDefaults } from "../config.ts";

/** What every kind of training has. */
export interface CommonTrainConfig {
  readonly schemaVersion: 1;
  /** The recipe that the values came from, for reports. */
  readonly recipe: "custom" | "gemma-scope" | "short-run" | "topk";
  /** Number of latents. */
  readonly dSae: number;
  /** Activations in one optimiser step. */
  readonly batchSize: number;
  readonly steps: number;
  /** The peak learning rate. */
  readonly learningRate: number;
  /** Steps of cosine warm-up from a tenth of the learning rate to all of it; 0 by default. */
  readonly learningRateWarmup: number;
  /** Share of the steps, at the end, over which the learning rate falls linearly to 0; 0, the default, for none. */
  readonly learningRateDecay: number;
  readonly adam: { readonly beta1: number; readonly beta2: number; readonly epsilon: number };
  /** How b_dec starts: at zero, or at the geometric median of the first batch. */
  readonly decoderBias: "geometric-median" | "zero";
  /** A latent is dead once it has been silent for this many activations. */
  readonly deadAfterTokens: number;
  /** Activations from which the input's scale and variance are estimated before the first step; 65,536 by default. */
  readonly normalisationTokens: number;
  /** Steps between held-out evaluations; each is a point of the history. The last step always is one. */
  readonly evaluateEvery: number;
  /** Steps between checkpoints; the last step always has one. */
  readonly checkpointEvery: number;
  /** Rows of a block; null, the default, for about 8 million pre-activations at a time. */
  readonly blockRows: number | null;
  readonly seed: number;
}

/** Training of a JumpReLU SAE. */
export interface JumpReluTrainConfig extends CommonTrainConfig {
  readonly architecture: "jumprelu";
  /** lambda: weight of the L0 penalty, for inputs of unit mean square norm. */
  readonly sparsity: number;
  /** Steps over which lambda rises linearly from 0. */
  readonly sparsityWarmup: number;
  /** eps: width of the rectangle kernel, for inputs of unit mean square norm. */
  readonly bandwidth: number;
  /** theta of every latent at the start. */
  readonly initialThreshold: number;
  /** `"raw"` trains theta, clamped at eps / 2 from below; `"log"` trains log theta. */
  readonly thresholdForm: "log" | "raw";
}

/** Training of a TopK SAE. */
export interface TopKTrainConfig extends CommonTrainConfig {
  readonly architecture: "topk";
  readonly k: number;
  /** alpha: weight of the AuxK loss; 0 for none. */
  readonly auxiliaryWeight: number;
  /** Dead latents that explain the residual; null, the default, for d_in / 2. */
  readonly auxiliaryK: number | null;
}

/** Everything that determines a training run, beside the data and the backend. */
export type TrainConfig = JumpReluTrainConfig | TopKTrainConfig;

type Defaulted =
  | "blockRows"
  | "learningRateDecay"
  | "learningRateWarmup"
  | "normalisationTokens"
  | "recipe"
  | "schemaVersion"
  | "seed";

/** {@link TrainConfig} as callers write it, with defaults left out. */
export type TrainConfigInput =
  | WithDefaults<JumpReluTrainConfig, Defaulted>
  | WithDefaults<TopKTrainConfig, Defaulted | "auxiliaryK">;

const common = {
  schemaVersion: z.literal(1).default(1),
  recipe: z.enum(["gemma-scope", "short-run", "topk", "custom"]).default("custom"),
  dSae: z.int().positive(),
  batchSize: z.int().positive(),
  steps: z.int().positive(),
  learningRate: z.number().positive(),
  learningRateWarmup: z.int().nonnegative().default(0),
  learningRateDecay: z.number().min(0).max(1).default(0),
  adam: z.object({
    beta1: z.number().min(0).lt(1),
    beta2: z.number().min(0).lt(1),
    epsilon: z.number().positive(),
  }),
  decoderBias: z.enum(["zero", "geometric-median"]),
  deadAfterTokens: z.int().positive(),
  normalisationTokens: z.int().positive().default(65_536),
  evaluateEvery: z.int().positive(),
  checkpointEvery: z.int().positive(),
  blockRows: z.int().positive().nullable().default(null),
  seed: z.int().nonnegative().default(0),
};

/** For files that hold a training configuration. */
export const trainConfigSchema: z.ZodType<TrainConfig> = z.discriminatedUnion("architecture", [
  z.object({
    ...common,
    architecture: z.literal("jumprelu"),
    sparsity: z.number().nonnegative(),
    sparsityWarmup: z.int().nonnegative(),
    bandwidth: z.number().positive(),
    initialThreshold: z.number().positive(),
    thresholdForm: z.enum(["raw", "log"]),
  }),
  z.object({
    ...common,
    architecture: z.literal("topk"),
    k: z.int().positive(),
    auxiliaryWeight: z.number().nonnegative(),
    auxiliaryK: z.int().positive().nullable().default(null),
  }),
]);

/** Parses a training configuration. Throws `ConfigError` `TRAIN_CONFIG_INVALID` that names the field. */
export function parseTrainConfig(config: unknown, where?: string): TrainConfig {
  const parsed = trainConfigSchema.safeParse(config);
  if (!parsed.success) throw invalid(describeIssues(parsed.error), where);
  const { data } = parsed;
  if (data.architecture === "topk" && data.k > data.dSae) {
    throw invalid(`k: ${data.k} is more than the ${data.dSae} latents`, where);
  }
  if (
    data.architecture === "jumprelu" &&
    data.thresholdForm === "raw" &&
    data.initialThreshold < data.bandwidth / 2
  ) {
    throw invalid(
      `initialThreshold: ${data.initialThreshold} is below half of the bandwidth ${data.bandwidth}, where raw theta is clamped`,
      where,
    );
  }
  return data;
}

function invalid(what: string, where: string | undefined): ConfigError {
  return new ConfigError({
    code: "TRAIN_CONFIG_INVALID",
    message: `this is not a training configuration: ${what}`,
    fix: "correct the fields named above, or start from a recipe",
    where,
  });
}
