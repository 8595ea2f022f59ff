import { ConfigError } from "@latentkit/core";
import { z } from "zod";

const share = z.number().min(0).max(1);
const count = z.int().positive();

const schema = z.strictObject({
  seed: z.int().nonnegative().max(0xffff_ffff).default(0),
  tokens: count,
  batch: count,
  microBatch: count.optional(),
  optimiser: z.enum(["adamW", "muon"]).default("adamW"),
  learningRate: z.number().positive(),
  momentum: share.default(0.95),
  betas: z.tuple([share, share]).readonly().default([0.9, 0.95]),
  epsilon: z.number().positive().default(1e-8),
  weightDecay: z.number().nonnegative().default(0.1),
  clip: z.number().positive().default(1),
  zLoss: z.number().nonnegative().default(0),
  warmUpSteps: count.default(100),
  decayShare: share.default(0.2),
  decay: z.enum(["1-sqrt", "linear", "cosine"]).default("1-sqrt"),
  floor: share.default(0),
  averageShare: share.default(0),
  averageEvery: count.default(20),
  logEvery: count.default(10),
  validateEvery: count.default(1_000_000),
  evaluateEvery: count.default(10_000_000),
  checkpointSeconds: z.number().positive().default(300),
  checkpointTokens: count.nullable().default(null),
  waypointTokens: count.nullable().default(null),
});

/** How a language model is trained, with all defaults filled in. Plain JSON. */
export interface TrainingConfig {
  /** Noted for what is made with it; training itself draws nothing at random. */
  readonly seed: number;
  /** Training tokens in all. */
  readonly tokens: number;
  /** Contexts in a step. */
  readonly batch: number;
  /** Contexts whose gradients are computed at once; the whole batch by default. */
  readonly microBatch: number;
  /** `"muon"`: of the matrices inside of the blocks; embeddings, head and norms have AdamW in either case. */
  readonly optimiser: "adamW" | "muon";
  /** Of the stable phase. One rate serves both optimisers, see `muon` of the tensor package. */
  readonly learningRate: number;
  /** Of Muon. */
  readonly momentum: number;
  /** Of AdamW. */
  readonly betas: readonly [number, number];
  readonly epsilon: number;
  /** Decoupled, of matrices; norms have none. */
  readonly weightDecay: number;
  /** Largest global norm of the gradients. */
  readonly clip: number;
  /** Coefficient of the squared log-partition function; part of the training loss that is reported. */
  readonly zLoss: number;
  /** Steps over which the rate rises from 0. */
  readonly warmUpSteps: number;
  /** Last share of the tokens over which the rate falls. */
  readonly decayShare: number;
  /** How it falls. */
  readonly decay: "1-sqrt" | "linear" | "cosine";
  /** Share of the rate that it falls to. */
  readonly floor: number;
  /** Last share of the tokens over which weights are averaged; 0 for no average. */
  readonly averageShare: number;
  /** Steps from one addition to the average to the next. */
  readonly averageEvery: number;
  /** Steps from one line of the metrics to the next. */
  readonly logEvery: number;
  /** Tokens from one validation, evaluation and checkpoint to the next. */
  readonly validateEvery: number;
  readonly evaluateEvery: number;
  /** Seconds after which a checkpoint is written, whatever the tokens. */
  readonly checkpointSeconds: number;
  /** Tokens after which one is written, whatever the seconds; null for none. */
  readonly checkpointTokens: number | null;
  /**
   * Tokens from one waypoint to the next; null for none. At a waypoint the run goes on from its matrices rounded to 8 bits and from an
   * optimiser without memory. What is kept of it takes less than a tenth of a checkpoint with AdamW's moments, and a run that begins
   * there, on another machine perhaps, ends with the same bytes. There are none once weights are averaged.
   */
  readonly waypointTokens: number | null;
}

/** What {@link parseTrainingConfig} takes: `tokens`, `batch`, `learningRate`, and whatever else differs from the defaults. */
export type TrainingConfigInput = z.input<typeof schema>;

/**
 * Fills in the defaults.
 *
 * @throws ConfigError `TRAINING_CONFIG`, naming the fields
 */
export function parseTrainingConfig(input: unknown, where?: string): TrainingConfig {
  const parsed = schema.safeParse(input);
  if (!parsed.success) throw invalid(describeIssues(parsed.error), where);
  const { data } = parsed;
  const microBatch = data.microBatch ?? data.batch;
  if (data.batch % microBatch !== 0) {
    throw invalid(
      `microBatch: batches of ${data.batch} contexts are not whole micro-batches of ${microBatch}`,
      where,
    );
  }
  return { ...data, microBatch };
}

/** `field: what is wrong` for each issue. */
export function describeIssues(error: z.ZodError): string {
  return error.issues
    .map((issue) => `${issue.path.join(".") || "(whole)"}: ${issue.message}`)
    .join("; ");
}

function invalid(message: string, where: string | undefined): ConfigError {
  return new ConfigError({
    code: "TRAINING_CONFIG",
    message: `this is not a training configuration: ${message}`,
    fix: "correct the fields named above",
    where,
  });
}
