import { z } from "zod";
import { recipeLabelSchema } from "./common-config.ts";
import { type TrainConfig, trainConfigSchema } from "./config.ts";

/** One evaluation during training. */
export interface TrainingPoint {
  /** Optimiser steps done. */
  readonly step: number;
  /** Activations presented so far, repeats counted. */
  readonly presentations: number;
  /** Different activations presented so far, at most as many as the source has. */
  readonly uniqueTokens: number;
  /** Loss, L0 and FVU of the training batches since the last point; the FVU's denominator is the variance sampled before training. */
  readonly loss: number;
  readonly l0: number;
  readonly fvu: number;
  /** L0 and FVU of the held-out activations; NaN is the FVU of rows that do not vary, null in JSON. */
  readonly heldOutL0: number;
  readonly heldOutFvu: number;
  /** Latents that fire on more than a tenth of the held-out activations. */
  readonly denseCount: number;
  /** Latents that have been silent for `deadAfterTokens` training activations. */
  readonly deadCount: number;
}

/** What made the numbers; results are bit-exact only where it is the same. */
export interface TrainingBackend {
  readonly name: string;
  readonly matmul: string;
  readonly threads: number;
  readonly build: string;
}

/** A training run from its first to its last point. Plain JSON. */
export interface TrainingHistory {
  readonly schemaVersion: 1;
  /** As the configuration has it. */
  readonly recipe: string;
  readonly config: TrainConfig;
  /** Different activations that the source has. */
  readonly uniqueTokens: number;
  /** Activations presented, repeats counted. */
  readonly presentations: number;
  /** C, by which the inputs were divided; folded into the exported weights. */
  readonly inputScale: number;
  readonly points: readonly TrainingPoint[];
  readonly backend: TrainingBackend;
}

/** Schema of a point, for JSON lines, which have null for NaN. */
export const trainingPointSchema: z.ZodType<TrainingPoint> = z.object({
  step: z.int().nonnegative(),
  presentations: z.number().nonnegative(),
  uniqueTokens: z.number().nonnegative(),
  loss: z.number(),
  l0: z.number(),
  fvu: z.number(),
  heldOutL0: z.number(),
  heldOutFvu: z
    .number()
    .or(z.nan())
    .nullable()
    .transform((fvu) => fvu ?? Number.NaN),
  denseCount: z.int().nonnegative(),
  deadCount: z.int().nonnegative(),
});

/** Schema of {@link TrainingBackend}. */
export const trainingBackendSchema: z.ZodType<TrainingBackend> = z.object({
  name: z.string(),
  matmul: z.string(),
  threads: z.int(),
  build: z.string(),
});

/** Schema of {@link TrainingHistory}, for `training.json`. */
export const trainingHistorySchema: z.ZodType<TrainingHistory> = z.object({
  schemaVersion: z.literal(1),
  recipe: recipeLabelSchema,
  config: trainConfigSchema,
  uniqueTokens: z.number().nonnegative(),
  presentations: z.number().nonnegative(),
  inputScale: z.number().positive(),
  points: z.array(trainingPointSchema),
  backend: trainingBackendSchema,
});

/** Whether labels may be given to single latents, and why or why not. */
export interface Stability {
  readonly stable: boolean;
  /** One sentence for a report. */
  readonly reason: string;
}

/** Relative movement over the last fifth of training above which an SAE counts as unfinished. */
const tolerance = 0.05;

/**
 * Whether the SAE had settled: over the last fifth of the planned training neither the dense count nor the held-out L0 moved
 * by more than 5% of its value at the start of that fifth. Class labels are withheld otherwise: dense latents of a short run
 * are still on their way to being sparse ones.
 */
export function stabilityOf(history: TrainingHistory): Stability {
  const { points, config } = history;
  const last = points.at(-1);
  const planned = config.steps * config.batchSize;
  if (last === undefined || last.step < config.steps) {
    return {
      stable: false,
      reason: `training stopped at ${last?.presentations ?? 0} of ${planned} presentations`,
    };
  }
  const from = points.findLast((point) => point.presentations <= 0.8 * planned);
  if (from === undefined)
    return {
      stable: false,
      reason: "training was not evaluated before its last fifth, so its movement is unknown",
    };
  const moves = [
    { what: "the dense count", before: from.denseCount, after: last.denseCount },
    { what: "the held-out L0", before: from.heldOutL0, after: last.heldOutL0 },
  ];
  const moved = moves.filter(
    ({ before, after }) => Math.abs(after - before) > tolerance * Math.abs(before),
  );
  const described = (moved.length > 0 ? moved : moves)
    .map(({ what, before, after }) => `${what} went from ${rounded(before)} to ${rounded(after)}`)
    .join(" and ");
  return moved.length > 0
    ? { stable: false, reason: `over the last fifth of training ${described}, more than 5%` }
    : { stable: true, reason: `over the last fifth of training ${described}, within 5%` };
}

function rounded(value: number): string {
  return Number.isInteger(value) ? String(value) : value.toPrecision(4);
}
