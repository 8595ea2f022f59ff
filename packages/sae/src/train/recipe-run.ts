import { ConfigError } from "@latentkit/core";
import type { WithDefaults } from "../config.ts";
import type { TranscoderTraining } from "./common-config.ts";
import type { TrainConfig, TrainConfigInput } from "./config.ts";

/** What a recipe needs to know. */
export interface RecipeOptions {
  readonly dSae: number;
  /** Activations presented in all; each recipe has a default. The steps are this over the batch size. */
  readonly tokens?: number | undefined;
  readonly batchSize?: number | undefined;
  readonly seed?: number | undefined;
  /** Points of the history, that is held-out evaluations. Default 25, so that the last fifth has five. */
  readonly points?: number | undefined;
  /** Makes a transcoder of it, for kinds that can be one. */
  readonly transcoder?: WithDefaults<TranscoderTraining, "skip" | "targetScale"> | null | undefined;
}

/** What every recipe takes from its options. */
export type Run = Pick<
  TrainConfig,
  "batchSize" | "checkpointEvery" | "dSae" | "evaluateEvery" | "seed" | "steps"
> &
  Pick<TrainConfigInput, "transcoder">;

/** Steps, points and checkpoints of a run over `tokens` activations by `batch`, where the options do not say otherwise. */
export function runOf(options: RecipeOptions, tokens: number, batch: number): Run {
  const batchSize = options.batchSize ?? batch;
  const steps = Math.max(1, Math.ceil((options.tokens ?? tokens) / batchSize));
  const every = Math.max(1, Math.round(steps / (options.points ?? 25)));
  return {
    dSae: options.dSae,
    batchSize,
    steps,
    evaluateEvery: every,
    checkpointEvery: every,
    seed: options.seed ?? 0,
    transcoder: options.transcoder ?? null,
  };
}

/** 10 million silent tokens, or a tenth of the run where that is less. */
export function deadAfter(run: Run): number {
  return Math.min(10_000_000, Math.max(1, Math.ceil((run.steps * run.batchSize) / 10)));
}

/** `share` of the run's steps, at most `most`. */
export function warmupOf(run: Run, share: number, most: number): number {
  return Math.min(most, Math.ceil(run.steps * share));
}

/** Throws {@link ConfigError} `TRAIN_CONFIG_INVALID` unless the configuration is of that architecture. */
export function narrow<Name extends TrainConfig["architecture"]>(
  config: TrainConfig,
  name: Name,
): Extract<TrainConfig, { architecture: Name }> {
  if (config.architecture !== name) {
    throw new ConfigError({
      code: "TRAIN_CONFIG_INVALID",
      message: `a ${config.architecture} configuration where ${name} was expected`,
      fix: `give a ${name} configuration`,
    });
  }
  // The tag was just compared, which the compiler does not see through a generic.
  return config as Extract<TrainConfig, { architecture: Name }>;
}
