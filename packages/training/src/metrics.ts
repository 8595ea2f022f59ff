import { z } from "zod";

/** One line of a run's metrics. */
export interface MetricsPoint {
  /** Optimiser steps done. */
  readonly step: number;
  /** Training tokens seen. */
  readonly tokens: number;
  /** Mean training loss in nats a target, and mean norm of the gradients, since the last line. Null in lines that add no steps. */
  readonly loss: number | null;
  readonly norm: number | null;
  /** Learning rate of the last step. */
  readonly learningRate: number;
  /** Of the steps since the last line, without validation and the like. */
  readonly tokensPerSecond: number | null;
  /** Mean loss of the held-out contexts in nats a target. */
  readonly validation?: number | undefined;
  /** The same with the averaged weights, at the end of a run that averages. */
  readonly averageValidation?: number | undefined;
  /** What the caller's evaluation gave. */
  readonly evaluation?: Readonly<Record<string, number>> | undefined;
}

/** Schema of a point, for JSON lines. */
export const metricsPointSchema: z.ZodType<MetricsPoint> = z.object({
  step: z.int().nonnegative(),
  tokens: z.int().nonnegative(),
  loss: z.number().nullable(),
  norm: z.number().nullable(),
  learningRate: z.number(),
  tokensPerSecond: z.number().nullable(),
  validation: z.number().optional(),
  averageValidation: z.number().optional(),
  evaluation: z.record(z.string(), z.number()).optional(),
});
