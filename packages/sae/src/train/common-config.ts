import { z } from "zod";

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

/** The fields of {@link CommonTrainConfig} that have defaults. */
export type CommonDefaulted =
  | "blockRows"
  | "learningRateDecay"
  | "learningRateWarmup"
  | "normalisationTokens"
  | "recipe"
  | "schemaVersion"
  | "seed";

/** The schema of {@link CommonTrainConfig}, field by field. */
export const commonFields = {
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
