import { z } from "zod";

/** Names that `recipe` knows, sorted. */
export const recipeNames = [
  "abstopk",
  "april-2024",
  "batchtopk",
  "batchtopk_crosscoder",
  "crosscoder",
  "gated",
  "gemma-scope",
  "gemma-scope-2",
  "jumprelu_tanh",
  "matching_pursuit",
  "matryoshka_batchtopk",
  "p_anneal",
  "short-run",
  "standard",
  "topk",
] as const;
export type RecipeName = (typeof recipeNames)[number];

/** Training to reconstruct one site from another; see {@link CommonTrainConfig.transcoder}. */
export interface TranscoderTraining {
  /** Width of the site that is reconstructed. The stream's rows are the input's columns, then these. */
  readonly dOut: number;
  /** Whether W_skip x is added to the output, W_skip trained from 0; false by default. */
  readonly skip: boolean;
  /**
   * What the target is divided by: `"input"`, the default, for the input's own scale (Gemma Scope, appendix B), or `"target"` for sqrt(mean
   * ||y||^2), so that lambda means the same at every pair of sites.
   */
  readonly targetScale: "input" | "target";
}

/** What every kind of training has. */
export interface CommonTrainConfig {
  readonly schemaVersion: 1;
  /** The recipe that the values came from, for reports: one that `recipe` knows, or a name of one's own; `"custom"` by default. */
  readonly recipe: string;
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
  /** Rows of a block; null, the default, for about 33 million pre-activations at a time, 8 million in dense steps. */
  readonly blockRows: number | null;
  readonly seed: number;
  /**
   * Makes a transcoder of it. Encoder and decoder start apart, the encoder sees x, not x - b_dec, and b_dec belongs to the target. null,
   * the default, for an autoencoder.
   */
  readonly transcoder: TranscoderTraining | null;
}

/** What a configuration may call its recipe, in a history too: any name, as users have recipes of their own. */
export const recipeLabelSchema = z.string().min(1);

/** The fields of {@link CommonTrainConfig} that have defaults. */
export type CommonDefaulted =
  | "blockRows"
  | "learningRateDecay"
  | "learningRateWarmup"
  | "normalisationTokens"
  | "recipe"
  | "schemaVersion"
  | "seed"
  | "transcoder";

/** The schema of {@link CommonTrainConfig}, field by field. */
export const commonFields = {
  schemaVersion: z.literal(1).default(1),
  recipe: recipeLabelSchema.default("custom"),
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
  transcoder: z
    .object({
      dOut: z.int().positive(),
      skip: z.boolean().default(false),
      targetScale: z.enum(["input", "target"]).default("input"),
    })
    .nullable()
    .default(null),
};
