import { MismatchError, type Shape } from "@latentkit/core";
import { z } from "zod";
import { describeIssues, type TrainingConfig } from "./config.ts";
import { type MetricsPoint, metricsPointSchema } from "./metrics.ts";
import { planOf, sharedSteps } from "./schedule.ts";

/** One array of a checkpoint. */
export interface CheckpointTensor {
  readonly name: string;
  readonly shape: Shape;
  readonly data: Float32Array;
}

/** Where a run stands between two steps: enough to go on bit for bit. */
export interface TrainingCheckpoint {
  readonly state: TrainingState;
  /** `weights/NAME` and, except at a waypoint, `optimiser/NAME/SLOT` and, once there is an average, `average/NAME`. */
  readonly tensors: readonly CheckpointTensor[];
}

/** A checkpoint as it was found; its state is not yet checked. */
export interface FoundCheckpoint {
  readonly state: unknown;
  readonly tensors: readonly CheckpointTensor[];
}

/**
 * Which checkpoint: the newest one; the one from the end of the stable phase, from which a run can be extended after it has ended;
 * or the last waypoint, which has weights alone, its matrices rounded to 8 bits (see `toEightBits`), and may be kept as such.
 */
export type CheckpointKind = "newest" | "stable" | "waypoint";

/** Where checkpoints and metrics are kept. `checkpointFolder` of `@latentkit/training/node` keeps them in files. */
export interface CheckpointStore {
  /** For messages, for example the folder. */
  readonly name: string;
  load(kind: CheckpointKind): Promise<FoundCheckpoint | null>;
  /** Replaces the checkpoint of this kind. A kill at any moment leaves the old or the new one whole. */
  save(checkpoint: TrainingCheckpoint, kind: CheckpointKind): Promise<void>;
  /** The metrics are these points and nothing else: called at the start of a run, and of a resumed one. */
  resetMetrics?(points: readonly MetricsPoint[]): Promise<void>;
  /** Adds a point to the metrics. */
  appendMetrics?(point: MetricsPoint): Promise<void>;
}

/** What made the numbers; results are bit-exact only where it is the same. */
export interface TrainingBackend {
  readonly name: string;
  readonly matmul: string;
  readonly threads: number;
  readonly build: string;
}

/** Sums since the last point of the metrics. */
export interface MetricsWindow {
  readonly steps: number;
  readonly loss: number;
  readonly norm: number;
}

/** The part of a checkpoint that is JSON. */
export interface TrainingState {
  readonly schemaVersion: 1;
  readonly config: TrainingConfig;
  /** Steps done. */
  readonly step: number;
  /** Tokens seen. */
  readonly tokens: number;
  /** `ModelConfig` of the model. */
  readonly model: unknown;
  /** `ContextStream.identity`. */
  readonly stream: unknown;
  /** `ContextStream.state()`. */
  readonly contexts: unknown;
  readonly backend: TrainingBackend;
  readonly optimiser: {
    readonly schemaVersion: 1;
    readonly kind: string;
    readonly updates: number;
  };
  /** Weights in the average; 0 where there is none yet. */
  readonly averaged: number;
  /** SHA-256 over all tensors. */
  readonly tensorsHash: string;
  readonly window: MetricsWindow;
  readonly points: readonly MetricsPoint[];
}

const configSchema: z.ZodType<TrainingConfig> = z.object({
  seed: z.int(),
  tokens: z.int(),
  batch: z.int(),
  microBatch: z.int(),
  // Checkpoints written before there was a choice are AdamW's.
  optimiser: z.enum(["adamW", "muon"]).default("adamW"),
  learningRate: z.number(),
  momentum: z.number().default(0.95),
  betas: z.tuple([z.number(), z.number()]).readonly(),
  epsilon: z.number(),
  weightDecay: z.number(),
  clip: z.number(),
  zLoss: z.number(),
  warmUpSteps: z.int(),
  decayShare: z.number(),
  decay: z.enum(["1-sqrt", "linear", "cosine"]),
  floor: z.number(),
  averageShare: z.number(),
  averageEvery: z.int(),
  logEvery: z.int(),
  validateEvery: z.int(),
  evaluateEvery: z.int(),
  checkpointSeconds: z.number(),
  checkpointTokens: z.int().nullable(),
  waypointTokens: z.int().nullable().default(null),
});

const stateSchema: z.ZodType<TrainingState> = z.object({
  schemaVersion: z.literal(1),
  config: configSchema,
  step: z.int().nonnegative(),
  tokens: z.int().nonnegative(),
  model: z.unknown(),
  stream: z.unknown(),
  contexts: z.unknown(),
  backend: z.object({
    name: z.string(),
    matmul: z.string(),
    threads: z.int(),
    build: z.string(),
  }),
  optimiser: z.object({
    schemaVersion: z.literal(1),
    kind: z.string(),
    updates: z.int().nonnegative(),
  }),
  averaged: z.int().nonnegative(),
  tensorsHash: z.string(),
  window: z.object({ steps: z.int(), loss: z.number(), norm: z.number() }),
  points: z.array(metricsPointSchema),
});

/** What a resumed run must have in common with the run that wrote the checkpoint. */
export interface ResumeExpectation {
  readonly config: TrainingConfig;
  readonly contextSize: number;
  readonly model: unknown;
  readonly stream: unknown;
  readonly backend: TrainingBackend;
  readonly allowOtherBackend: boolean;
}

/** Fields that say how a run ends: they may change as long as neither the old nor the new end has begun. */
const endings = ["tokens", "decayShare", "decay", "floor", "averageShare", "averageEvery"] as const;
/** Fields that change no weight. */
const free = ["checkpointSeconds", "checkpointTokens", "evaluateEvery", "validateEvery"] as const;

/**
 * Checks that a checkpoint belongs to this run, or to a run that this one may go on from.
 *
 * @returns the state, or null where only its end differs and has already begun: an earlier checkpoint may serve
 * @throws MismatchError `CHECKPOINT_INVALID`, `CHECKPOINT_CONFIG` (which fields differ), `CHECKPOINT_MODEL`, `CHECKPOINT_DATA`,
 *   `CHECKPOINT_BACKEND`
 */
export function checkState(
  given: unknown,
  expected: ResumeExpectation,
  where: string,
): TrainingState | null {
  const parsed = stateSchema.safeParse(given);
  if (!parsed.success) {
    throw new MismatchError({
      code: "CHECKPOINT_INVALID",
      message: `the checkpoint's state does not parse: ${describeIssues(parsed.error)}`,
      fix: `${otherFolder}; if it was written by a newer version, use that one`,
      where,
    });
  }
  const state = parsed.data;
  const { config, contextSize } = expected;
  refuse("CHECKPOINT_MODEL", "another model", state.model, expected.model, where);
  refuse("CHECKPOINT_DATA", "another stream of contexts", state.stream, expected.stream, where);
  const ignored = new Set<string>([...endings, ...free]);
  refuse(
    "CHECKPOINT_CONFIG",
    "another configuration",
    without(state.config, ignored),
    without(config, ignored),
    where,
  );
  if (!expected.allowOtherBackend) {
    refuse(
      "CHECKPOINT_BACKEND",
      "another backend, so that the run would not go on bit for bit",
      state.backend,
      expected.backend,
      where,
      "resume where it was started, or allow another backend to go on with other rounding",
    );
  }
  const [before, now] = [planOf(state.config, contextSize), planOf(config, contextSize)];
  const sameEnd = endings.every((name) => state.config[name] === config[name]);
  return sameEnd || state.step <= sharedSteps(before, now) ? state : null;
}

/** The error for a run that has begun to end in another way than it is now told to. */
export function endingError(
  given: unknown,
  { config, contextSize }: ResumeExpectation,
  where: string,
): MismatchError {
  const parsed = stateSchema.parse(given); // has been checked before
  const shared = sharedSteps(planOf(parsed.config, contextSize), planOf(config, contextSize));
  const changed = differences(pick(parsed.config, endings), pick(config, endings)).join("; ");
  return new MismatchError({
    code: "CHECKPOINT_ENDING",
    message: `the run is at step ${parsed.step}, and what is to change (${changed}) would already have made a difference after step ${shared}`,
    fix: "go on with the old values, or train more tokens: a run can be extended from the end of its stable phase",
    where,
  });
}

const otherFolder = "start in another folder, or delete this one";

function refuse(
  code: string,
  what: string,
  before: unknown,
  now: unknown,
  where: string,
  fix: string = `resume with the old values, or ${otherFolder}`,
): void {
  const changed = differences(before, now);
  if (changed.length === 0) return;
  throw new MismatchError({
    code,
    message: `the checkpoint is of ${what}: ${changed.join("; ")}`,
    fix,
    where,
  });
}

/** `learningRate was 0.001, is 0.0001`. */
function differences(before: unknown, after: unknown): string[] {
  const [old, now] = [entriesOf(before), entriesOf(after)];
  const names = new Set([...old.keys(), ...now.keys()]);
  return [...names].flatMap((name) => {
    const [was, is] = [JSON.stringify(old.get(name)), JSON.stringify(now.get(name))];
    return was === is ? [] : [`${name} was ${was}, is ${is}`];
  });
}

function entriesOf(value: unknown): Map<string, unknown> {
  return typeof value === "object" && value !== null
    ? new Map(Object.entries(value))
    : new Map([["it", value]]);
}

function without(config: object, names: ReadonlySet<string>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(config).filter(([name]) => !names.has(name)));
}

function pick<T extends object>(from: T, names: readonly (keyof T & string)[]): object {
  return Object.fromEntries(names.map((name) => [name, from[name]]));
}

/** Checkpoints in memory: for tests, and for pages that have no files. */
export function memoryCheckpoints(name = "memory"): CheckpointStore {
  const kept = new Map<CheckpointKind, TrainingCheckpoint>();
  return {
    name,
    load: (kind) => Promise.resolve(kept.get(kind) ?? null),
    save(checkpoint, kind) {
      // Through text, as a file would have it.
      const state = JSON.parse(JSON.stringify(checkpoint.state)) as TrainingState; // what was just written out
      kept.set(kind, { state, tensors: checkpoint.tensors });
      return Promise.resolve();
    },
  };
}
