import { z } from "zod";
import { type CommonTrainConfig, commonFields } from "./common-config.ts";

/** A site of a crosscoder: some columns of the stream's rows. */
export interface CrosscoderSite {
  /** For example `blocks.3.hook_resid_post`, or that with a model's name before it. */
  readonly name: string;
  readonly width: number;
}

/** What crosscoders share. */
interface CrosscoderCommon extends CommonTrainConfig {
  /** The sites in the order of the stream's columns. Each is divided by its own sqrt(mean ||x||^2). */
  readonly sites: readonly CrosscoderSite[];
  /** Norm of each latent's decoder row at each site at the start; the encoder starts as the same numbers. 0.1 by default. */
  readonly initialDecoderNorm: number;
  /** Largest global norm of the gradients; null, the default, for no clipping. */
  readonly gradientClip: number | null;
}

/** Training of a crosscoder with an L1 penalty. */
export interface CrosscoderTrainConfig extends CrosscoderCommon {
  readonly architecture: "crosscoder";
  /** lambda: weight of `sum_i f_i sum_s ||d_i^s||`. */
  readonly sparsity: number;
  /** Steps over which lambda rises linearly from 0. */
  readonly sparsityWarmup: number;
}

/** Training of a BatchTopK crosscoder. */
export interface BatchTopKCrosscoderTrainConfig extends CrosscoderCommon {
  readonly architecture: "batchtopk_crosscoder";
  /** Mean number of latents that are active for a row; need not be an integer. */
  readonly k: number;
  /** alpha: weight of the AuxK loss; 0 for none. */
  readonly auxiliaryWeight: number;
  /** Dead latents that explain the residual; null, the default, for half of the sites' summed width. */
  readonly auxiliaryK: number | null;
  /** Share by which the threshold follows each batch's smallest activation; 0.01 by default. */
  readonly thresholdRate: number;
  /** Step from which the threshold is a running mean; until then it is the last batch's. 0 by default. */
  readonly thresholdStart: number;
}

const common = {
  ...commonFields,
  sites: z.array(z.object({ name: z.string().min(1), width: z.int().positive() })).min(1),
  initialDecoderNorm: z.number().positive().default(0.1),
  gradientClip: z.number().positive().nullable().default(null),
};

/** The schemas of the configurations above. */
export const crosscoderSchemas = {
  crosscoder: z.object({
    ...common,
    architecture: z.literal("crosscoder"),
    sparsity: z.number().nonnegative(),
    sparsityWarmup: z.int().nonnegative(),
  }),
  batchTopKCrosscoder: z.object({
    ...common,
    architecture: z.literal("batchtopk_crosscoder"),
    k: z.number().positive(),
    auxiliaryWeight: z.number().nonnegative(),
    auxiliaryK: z.int().positive().nullable().default(null),
    thresholdRate: z.number().positive().max(1).default(0.01),
    thresholdStart: z.int().nonnegative().default(0),
  }),
};
