import { ConfigError } from "@latentkit/core";
import { z } from "zod";
import { describeIssues, type WithDefaults } from "../config.ts";
import {
  type CommonDefaulted,
  type CommonTrainConfig,
  commonFields,
  type TranscoderTraining,
} from "./common-config.ts";
import type { BatchTopKCrosscoderTrainConfig, CrosscoderTrainConfig } from "./crosscoder-config.ts";
import {
  type AbsTopKTrainConfig,
  type BatchTopKTrainConfig,
  type CustomTrainConfig,
  faultOf,
  type GatedTrainConfig,
  type JumpReluTanhTrainConfig,
  kindSchemas,
  type MatchingPursuitTrainConfig,
  type MatryoshkaBatchTopKTrainConfig,
  type PAnnealTrainConfig,
  type StandardTrainConfig,
} from "./kinds.ts";

export type { CommonTrainConfig } from "./common-config.ts";

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
  /**
   * The sparsity penalty, times lambda: `"l0"`, the default, for the mean of ||f||_0; `"quadratic"` for the mean of (2 / L0*) (||f||_0 -
   * L0*)^2 over activations (Gemma Scope 2); `"relative"` for (mean ||f||_0 / L0* - 1)^2 over the batch (dictionary_learning).
   */
  readonly penalty: "l0" | "quadratic" | "relative";
  /** L0*: latents that shall be active for an activation; for the penalties that have one, else null. */
  readonly targetL0: number | null;
  /**
   * omega: adds lambda sum_i p_i^2 / omega to the penalty, p_i the share of the batch on which latent i fires. Latents that fire less often
   * than omega hardly feel it; null, the default, for none.
   */
  readonly frequencyScale: number | null;
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
export type TrainConfig =
  | AbsTopKTrainConfig
  | BatchTopKCrosscoderTrainConfig
  | BatchTopKTrainConfig
  | CrosscoderTrainConfig
  | CustomTrainConfig
  | GatedTrainConfig
  | JumpReluTanhTrainConfig
  | JumpReluTrainConfig
  | MatchingPursuitTrainConfig
  | MatryoshkaBatchTopKTrainConfig
  | PAnnealTrainConfig
  | StandardTrainConfig
  | TopKTrainConfig;

/** `T` as callers write it, where the common fields with defaults, and `Names`, may be left out. */
type Input<T extends CommonTrainConfig, Names extends keyof T = never> = Omit<
  WithDefaults<T, CommonDefaulted | Names>,
  "transcoder"
> & {
  readonly transcoder?: WithDefaults<TranscoderTraining, "skip" | "targetScale"> | null | undefined;
};
type BatchTopKDefaulted = "auxiliaryK" | "gradientClip" | "thresholdRate" | "thresholdStart";

/** {@link TrainConfig} as callers write it, with defaults left out. */
export type TrainConfigInput =
  | Input<AbsTopKTrainConfig, "auxiliaryK" | "gradientClip">
  | Input<BatchTopKCrosscoderTrainConfig, BatchTopKDefaulted | "initialDecoderNorm">
  | Input<BatchTopKTrainConfig, BatchTopKDefaulted>
  | Input<CrosscoderTrainConfig, "gradientClip" | "initialDecoderNorm">
  | Input<CustomTrainConfig, "gradientClip" | "options" | "sparsity" | "sparsityWarmup">
  | Input<GatedTrainConfig, "gradientClip">
  | Input<
      JumpReluTanhTrainConfig,
      "gradientClip" | "gradientToInput" | "initialDecoderNorm" | "preActivationOn" | "tanhScale"
    >
  | Input<JumpReluTrainConfig, "frequencyScale" | "penalty" | "targetL0">
  | Input<
      MatchingPursuitTrainConfig,
      "gradientClip" | "maxIterations" | "residualThreshold" | "stopOnDuplicateSupport"
    >
  | Input<MatryoshkaBatchTopKTrainConfig, BatchTopKDefaulted | "prefixLoss">
  | Input<PAnnealTrainConfig, "anneals" | "averagedSteps" | "finalP" | "gradientClip">
  | Input<StandardTrainConfig, "gradientClip" | "initialDecoderNorm">
  | Input<TopKTrainConfig, "auxiliaryK">;

/** For files that hold a training configuration. */
export const trainConfigSchema: z.ZodType<TrainConfig> = z.discriminatedUnion("architecture", [
  z.object({
    ...commonFields,
    architecture: z.literal("jumprelu"),
    sparsity: z.number().nonnegative(),
    sparsityWarmup: z.int().nonnegative(),
    bandwidth: z.number().positive(),
    initialThreshold: z.number().positive(),
    thresholdForm: z.enum(["raw", "log"]),
    penalty: z.enum(["l0", "quadratic", "relative"]).default("l0"),
    targetL0: z.number().positive().nullable().default(null),
    frequencyScale: z.number().positive().nullable().default(null),
  }),
  z.object({
    ...commonFields,
    architecture: z.literal("topk"),
    k: z.int().positive(),
    auxiliaryWeight: z.number().nonnegative(),
    auxiliaryK: z.int().positive().nullable().default(null),
  }),
  ...Object.values(kindSchemas),
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
  if (data.architecture === "jumprelu") {
    const { penalty, targetL0, dSae } = data;
    if ((penalty === "l0") !== (targetL0 === null))
      throw invalid(
        penalty === "l0"
          ? `targetL0: ${targetL0}, but the penalty "l0" has no target`
          : `targetL0: the penalty "${penalty}" needs one`,
        where,
      );
    if (targetL0 !== null && targetL0 > dSae)
      throw invalid(`targetL0: ${targetL0} is more than the ${dSae} latents`, where);
  }
  if (data.architecture !== "topk" && data.architecture !== "jumprelu") {
    const fault = faultOf(data);
    if (fault !== null) throw invalid(fault, where);
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
