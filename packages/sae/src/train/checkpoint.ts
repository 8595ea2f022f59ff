import { MismatchError, type Shape } from "@latentkit/core";
import { z } from "zod";
import { describeIssues } from "../config.ts";
import { type TrainConfig, trainConfigSchema } from "./config.ts";
import {
  type TrainingBackend,
  trainingBackendSchema,
  type TrainingPoint,
  trainingPointSchema,
} from "./history.ts";
import type { InputStatistics } from "./normalise.ts";
import type { DivergenceState } from "./divergence.ts";
import type { StepMemory } from "./step.ts";

/** One array of a checkpoint. */
export interface CheckpointTensor {
  readonly name: string;
  readonly shape: Shape;
  readonly data: Float32Array | Int32Array;
}

/** Where a run stands between two steps: enough to go on bit for bit. */
export interface TrainingCheckpoint {
  readonly state: TrainingState;
  readonly tensors: readonly CheckpointTensor[];
}

/** Where checkpoints are kept. `checkpointFolder` of `@latentkit/sae/node` keeps them in files. */
export interface CheckpointStore {
  /** For messages, for example the folder. */
  readonly name: string;
  /** The newest complete checkpoint, or null. Its `state` is not yet checked. */
  load(): Promise<{
    readonly state: unknown;
    readonly tensors: readonly CheckpointTensor[];
  } | null>;
  /** Replaces the newest checkpoint. A kill at any moment leaves the old or the new one whole. */
  save(checkpoint: TrainingCheckpoint): Promise<void>;
  /** All points so far, whenever there is a new one: for `metrics.jsonl`. */
  record?(points: readonly TrainingPoint[]): Promise<void>;
}

/** Figures summed since the last point. */
export interface TrainingWindow {
  readonly rows: number;
  readonly steps: number;
  readonly loss: number;
  readonly squaredError: number;
  readonly active: number;
}

/** The part of a checkpoint that is JSON. */
export interface TrainingState {
  readonly schemaVersion: 1;
  readonly config: TrainConfig;
  readonly dIn: number;
  /** Steps done. */
  readonly step: number;
  readonly statistics: InputStatistics;
  /** Mean L0 of the last batch, which decides between sparse and dense steps. */
  readonly recentL0: number;
  readonly window: TrainingWindow;
  readonly points: readonly TrainingPoint[];
  /** `ActivationBatches.state()`. */
  readonly batches: unknown;
  readonly backend: TrainingBackend;
  /** What the architecture remembers from step to step; left out where that is nothing. */
  readonly memory?: StepMemory | undefined;
  /** Left out by versions that did not look for exploding errors. */
  readonly divergence?: DivergenceState | undefined;
}

/** Of the state that this version writes. */
const schemaVersion = 1;

const stateSchema: z.ZodType<TrainingState> = z.object({
  schemaVersion: z.literal(1),
  config: trainConfigSchema,
  dIn: z.int().positive(),
  step: z.int().nonnegative(),
  statistics: z.object({
    scale: z.number().positive(),
    scales: z.array(z.number().positive()).optional(),
    variance: z.number().positive(),
  }),
  recentL0: z.number(),
  window: z.object({
    rows: z.number(),
    steps: z.number(),
    loss: z.number(),
    squaredError: z.number(),
    active: z.number(),
  }),
  points: z.array(trainingPointSchema),
  batches: z.unknown(),
  backend: trainingBackendSchema,
  memory: z.record(z.string(), z.array(z.number())).optional(),
  divergence: z.object({ lowest: z.number().nullable(), above: z.int().nonnegative() }).optional(),
});

/** What a resumed run must have in common with the run that wrote the checkpoint. */
export interface ResumeExpectation {
  readonly config: TrainConfig;
  readonly dIn: number;
  readonly backend: TrainingBackend;
  readonly allowOtherBackend: boolean;
}

/**
 * Checks that a checkpoint belongs to this run.
 *
 * @throws MismatchError `CHECKPOINT_VERSION`, `CHECKPOINT_INVALID`, `CHECKPOINT_CONFIG` (which fields differ), `CHECKPOINT_WIDTH`, `CHECKPOINT_BACKEND`
 */
export function checkState(
  given: unknown,
  expected: ResumeExpectation,
  where: string,
): TrainingState {
  const other = "start in another folder, or delete this one";
  checkVersion(given, where);
  const parsed = stateSchema.safeParse(given);
  if (!parsed.success) {
    throw new MismatchError({
      code: "CHECKPOINT_INVALID",
      message: `the checkpoint's state does not parse: ${describeIssues(parsed.error)}`,
      fix: other,
      where,
    });
  }
  const state = parsed.data;
  const changed = changedFields(state.config, expected.config);
  if (changed.length > 0) {
    throw new MismatchError({
      code: "CHECKPOINT_CONFIG",
      message: `the checkpoint is of another configuration: ${changed.join("; ")}`,
      fix: `resume with the old values, or ${other}`,
      where,
    });
  }
  if (state.dIn !== expected.dIn) {
    throw new MismatchError({
      code: "CHECKPOINT_WIDTH",
      message: `the checkpoint is of activations of width ${state.dIn}, these are ${expected.dIn} wide`,
      fix: other,
      where,
    });
  }
  const moved = changedFields(state.backend, expected.backend);
  if (moved.length > 0 && !expected.allowOtherBackend) {
    throw new MismatchError({
      code: "CHECKPOINT_BACKEND",
      message: `the checkpoint was written on another backend, so the run would not go on bit for bit: ${moved.join("; ")}`,
      fix: "resume where it was started, or pass allowOtherBackend to go on with other rounding",
      where,
    });
  }
  return state;
}

/**
 * Checks the schema version of a checkpoint's JSON, where it has one.
 *
 * @throws MismatchError `CHECKPOINT_VERSION`
 */
export function checkVersion(given: unknown, where: string): void {
  const parsed = z.looseObject({ schemaVersion: z.number() }).safeParse(given);
  if (!parsed.success || parsed.data.schemaVersion === schemaVersion) return;
  throw new MismatchError({
    code: "CHECKPOINT_VERSION",
    message: `the checkpoint has schemaVersion ${parsed.data.schemaVersion}; this version of the package reads ${schemaVersion}`,
    fix: "go on with the version of @latentkit/sae that wrote it, start in another folder, or delete this one",
    where,
  });
}

/** `learningRate was 0.001, is 0.0001`. */
function changedFields(before: object, after: object): string[] {
  const [old, now] = [Object.entries(before), new Map(Object.entries(after))];
  return old
    .filter(([name, value]) => JSON.stringify(value) !== JSON.stringify(now.get(name)))
    .map(
      ([name, value]) =>
        `${name} was ${JSON.stringify(value)}, is ${JSON.stringify(now.get(name))}`,
    );
}

/** Checkpoints in memory: for tests, and for pages that have no files. */
export function memoryCheckpoints(name = "memory"): CheckpointStore {
  let newest: TrainingCheckpoint | null = null;
  return {
    name,
    load: () => Promise.resolve(newest),
    save(checkpoint) {
      newest = checkpoint;
      return Promise.resolve();
    },
  };
}
