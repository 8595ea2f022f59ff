import { ConfigError } from "@latentkit/core";
import { z } from "zod";
import { describeIssues } from "../adapter-config.ts";

/** How an adapter is trained. */
export interface AdapterTraining {
  /** Updates. */
  readonly steps: number;
  /** The highest: reached after the warm-up, then falling in a straight line to 0 after the last update. */
  readonly learningRate: number;
  /** Updates over which the learning rate rises. */
  readonly warmUpSteps: number;
  /** Batches whose gradients make one update, each weighted by its number of targets. */
  readonly microBatches: number;
  /** Decoupled, on A and B alike. */
  readonly weightDecay: number;
  readonly betas: readonly [number, number];
  readonly epsilon: number;
  /** Gradients of a larger global norm are scaled down to it. */
  readonly maxGradientNorm: number;
}

/** {@link AdapterTraining} as callers write it. */
export interface AdapterTrainingInput {
  readonly steps: number;
  /** 0.001 by default. */
  readonly learningRate?: number | undefined;
  /** A twentieth of the steps by default. */
  readonly warmUpSteps?: number | undefined;
  /** 1 by default. */
  readonly microBatches?: number | undefined;
  /** 0 by default. */
  readonly weightDecay?: number | undefined;
  /** 0.9 and 0.999 by default. */
  readonly betas?: readonly [number, number] | undefined;
  /** 1e-8 by default. */
  readonly epsilon?: number | undefined;
  /** 1 by default. */
  readonly maxGradientNorm?: number | undefined;
}

const share = z.number().min(0).lt(1);
const schema = z.object({
  steps: z.int().positive(),
  learningRate: z.number().positive().default(1e-3),
  warmUpSteps: z.int().nonnegative().optional(),
  microBatches: z.int().positive().default(1),
  weightDecay: z.number().nonnegative().default(0),
  betas: z.tuple([share, share]).default([0.9, 0.999]),
  epsilon: z.number().positive().default(1e-8),
  maxGradientNorm: z.number().positive().default(1),
});

/** Checks and completes. Throws `ConfigError` `ADAPTER_TRAINING` naming the fields that are wrong. */
export function parseAdapterTraining(input: unknown): AdapterTraining {
  const parsed = schema.safeParse(input);
  if (!parsed.success) throw invalid(describeIssues(parsed.error));
  const { warmUpSteps = Math.floor(parsed.data.steps / 20), ...rest } = parsed.data;
  if (warmUpSteps >= rest.steps && rest.steps > 1)
    throw invalid(`a warm-up of ${warmUpSteps} updates leaves nothing of ${rest.steps}`);
  return { ...rest, warmUpSteps };
}

function invalid(message: string): ConfigError {
  return new ConfigError({
    code: "ADAPTER_TRAINING",
    message: `this is not a configuration of adapter training: ${message}`,
    fix: "correct the fields named above",
  });
}
