import type { ActivationBatches } from "@latentkit/activations";
import {
  ConfigError,
  LatentkitError,
  type LongCallOptions,
  ShapeError,
  throwIfAborted,
  yieldToEventLoop,
} from "@latentkit/core";
import type { Device } from "@latentkit/tensor";
import type { SaeMetadata } from "../config.ts";
import type { Sae } from "../sae.ts";
import type { CheckpointStore } from "./checkpoint.ts";
import { parseTrainConfig, type TrainConfig, type TrainConfigInput } from "./config.ts";
import type { TrainingHistory } from "./history.ts";
import { TrainingRun } from "./run.ts";
import { SharedStream } from "./shared-stream.ts";
import type { TrainingArchitecture } from "./training-architecture.ts";

/** One SAE of {@link trainSaes}. */
export interface SaeTraining {
  /** For results and progress; unique among them. */
  readonly name: string;
  /** A recipe's result, or values of one's own. */
  readonly config: TrainConfigInput;
  /**
   * The training activations, raw, unmasked tokens only. Its seed belongs to the caller. Give the same object to all SAEs that read one
   * stream: each batch is then drawn once for all of them.
   */
  readonly batches: ActivationBatches;
  /** Raw activations `[n, dIn]` that training never sees. */
  readonly heldOut: Float32Array;
  /** Where the SAE comes from; kept in its configuration. */
  readonly metadata?: SaeMetadata | undefined;
  /** Where to keep checkpoints, and to resume from; none by default. */
  readonly checkpoints?: CheckpointStore | undefined;
}

/** What {@link trainSaes} needs. */
export interface TrainSaesOptions extends LongCallOptions {
  readonly device: Device;
  readonly saes: readonly SaeTraining[];
  /** Architectures of one's own, for configurations with `architecture: "custom"`. */
  readonly architectures?: readonly TrainingArchitecture[] | undefined;
  /** Go on with checkpoints of another backend, although the numbers will round otherwise. */
  readonly allowOtherBackend?: boolean | undefined;
  /** Called after each step of an SAE with what a live view shows. */
  readonly onStep?: ((event: SaeStepEvent) => void) | undefined;
}

/** A step of one of several SAEs. */
export interface SaeStepEvent {
  readonly name: string;
  /** Activations presented so far, and in all. */
  readonly done: number;
  readonly total: number;
  /** Loss, L0 and FVU, those of held-out activations, dead and dense latents, as far as they are known. */
  readonly figures: Readonly<Record<string, number>>;
}

/** How an SAE ended. */
export type SaeOutcome =
  | {
      readonly status: "trained";
      readonly name: string;
      /** Reads raw activations: scale and pre-encoder bias are folded in. The caller disposes it. */
      readonly sae: Sae;
      readonly history: TrainingHistory;
    }
  | {
      /** Given up: `TRAIN_DIVERGED`, or `ACTIVATIONS_NOT_FINITE` where its stream brought such. */
      readonly status: "stopped";
      readonly name: string;
      readonly error: LatentkitError;
      /** Up to its last point. */
      readonly history: TrainingHistory;
    };

/** Milliseconds of synchronous work after which timers and signals get their turn. */
const turn = 50;

/**
 * Trains several SAEs at once. Those that share a stream take each of its batches in turn, so that reading, hashing, or running the
 * model is paid for once; streams of several sites go forward together. Each SAE comes out with the same bytes as if it had been
 * trained alone on that stream.
 *
 * An SAE that diverges is given up, and the others go on. With checkpoints, SAEs that were aborted or killed, at the same step or
 * not, go on where their newest ones stand, and end with the same bytes as without the stop on the same backend.
 *
 * @returns the outcomes in the order of `saes`
 * @throws MismatchError `CHECKPOINT_*` where a checkpoint is of another run
 * @throws ConfigError `TRAIN_CONFIG_INVALID`; `TRAIN_ARCHITECTURE_UNKNOWN`; `TRAIN_NAMES`, `TRAIN_BATCH_SIZES`, `HELD_OUT_EMPTY`
 * @throws ShapeError `SHAPE_ROWS` for held-out activations of another width than the stream's
 * @throws FormatError `ACTIVATIONS_NOT_FINITE`, `ACTIVATIONS_CONSTANT` of the first activations of a stream
 * @throws AbortedError after the signal; checkpoints of the last complete steps are kept
 *
 * @example
 * const batches = shardBatches(store, { seed: 0 });
 * const saes = [16, 32, 64].map((k) => ({ name: `k-${k}`, config: topK({ dSae: 4096, k }), batches, heldOut }));
 * for (const outcome of await trainSaes({ device, saes })) console.log(outcome.name, outcome.status);
 */
export async function trainSaes(options: TrainSaesOptions): Promise<SaeOutcome[]> {
  using session = new Session(options);
  await session.start();
  await session.run();
  return session.outcomes();
}

/** One of the SAEs between its steps. */
interface Member {
  readonly training: SaeTraining;
  readonly config: TrainConfig;
  readonly stream: SharedStream;
  run: TrainingRun | null;
  outcome: SaeOutcome | null;
  /** After its last step. */
  figures: Readonly<Record<string, number>>;
}

class Session implements Disposable {
  readonly #options: TrainSaesOptions;
  readonly #members: readonly Member[];
  #returned = false;

  constructor(options: TrainSaesOptions) {
    this.#options = options;
    checkNames(options.saes);
    const streams = new Map<ActivationBatches, SharedStream>();
    this.#members = options.saes.map((training): Member => {
      const config = parseTrainConfig(training.config);
      const { batches, heldOut } = training;
      checkHeldOut(heldOut, batches.dIn);
      const stream = streams.get(batches) ?? new SharedStream(batches, config.batchSize);
      if (stream.batchSize !== config.batchSize)
        throw batchSizesError(training.name, config, stream);
      streams.set(batches, stream);
      return { training, config, stream, run: null, outcome: null, figures: {} };
    });
  }

  /** Begins or resumes each run. */
  async start(): Promise<void> {
    const { device, architectures, allowOtherBackend } = this.#options;
    for (const member of this.#members) {
      const { config, stream, training } = member;
      member.run = await TrainingRun.start({
        device,
        config,
        stream,
        checkpoints: training.checkpoints,
        allowOtherBackend,
        architectures,
      });
      if (member.run.step >= config.steps) await this.#complete(member, member.run);
    }
  }

  async run(): Promise<void> {
    let lastTurn = performance.now();
    for (;;) {
      const first = this.#furthestBack();
      if (first === null) return;
      await this.#stopIfAborted();
      const started = performance.now();
      const { stream, run } = first;
      const step = run.step;
      const batch = await stream.next(run.position, { signal: this.#options.signal });
      // Those that stand at the same batch: a run that was resumed further on waits for the others.
      const together = this.#active().filter(
        (other) => other.stream === stream && other.run.step === step,
      );
      for (const { member, run: one } of together) await this.#advance(member, one, batch);
      this.#report(stream, performance.now() - started);
      if (performance.now() - lastTurn > turn) {
        await yieldToEventLoop();
        lastTurn = performance.now();
      }
    }
  }

  outcomes(): SaeOutcome[] {
    this.#returned = true;
    return this.#members.flatMap(({ outcome }) => (outcome === null ? [] : [outcome]));
  }

  [Symbol.dispose](): void {
    for (const { run, outcome } of this.#members) {
      run?.dispose();
      if (!this.#returned && outcome?.status === "trained") outcome.sae.dispose();
    }
  }

  #active(): { member: Member; run: TrainingRun; stream: SharedStream }[] {
    return this.#members.flatMap((member) =>
      member.run === null ? [] : [{ member, run: member.run, stream: member.stream }],
    );
  }

  /** The run with the fewest activations presented, so that all streams go forward together. */
  #furthestBack(): { run: TrainingRun; stream: SharedStream } | null {
    let least: { run: TrainingRun; stream: SharedStream; presented: number } | null = null;
    for (const { run, stream } of this.#active()) {
      const presented = run.step * stream.batchSize;
      if (least === null || presented < least.presented) least = { run, stream, presented };
    }
    return least;
  }

  async #advance(
    member: Member,
    run: TrainingRun,
    batch: Awaited<ReturnType<SharedStream["next"]>>,
  ): Promise<void> {
    const { config, training } = member;
    const { checkpoints } = training;
    try {
      await run.advance(batch);
    } catch (error) {
      if (!isOwnFault(error)) throw error;
      this.#stop(member, run, error);
      return;
    }
    const ended = run.step === config.steps;
    if (ended || run.step % config.evaluateEvery === 0) {
      await run.evaluate(training.heldOut);
      await checkpoints?.record?.(run.points);
    }
    if (checkpoints !== undefined && (ended || run.step % config.checkpointEvery === 0))
      await checkpoints.save(await run.checkpoint());
    member.figures = run.figures();
    this.#options.onStep?.({
      name: training.name,
      done: run.step * config.batchSize,
      total: config.steps * config.batchSize,
      figures: member.figures,
    });
    if (ended) await this.#complete(member, run);
  }

  async #complete(member: Member, run: TrainingRun): Promise<void> {
    const { name, metadata } = member.training;
    const sae = await run.exportSae(metadata);
    member.outcome = { status: "trained", name, sae, history: run.history() };
    this.#release(member, run);
  }

  #stop(member: Member, run: TrainingRun, error: LatentkitError): void {
    const { name } = member.training;
    member.outcome = { status: "stopped", name, error, history: run.history() };
    this.#release(member, run);
  }

  /** Lets the parameters and moments go: the others may need the memory. */
  #release(member: Member, run: TrainingRun): void {
    member.run = null;
    run.dispose();
  }

  async #stopIfAborted(): Promise<void> {
    const { signal } = this.#options;
    if (signal?.aborted !== true) return;
    const kept: string[] = [];
    for (const { member, run } of this.#active()) {
      const { checkpoints } = member.training;
      if (checkpoints === undefined) continue;
      await checkpoints.save(await run.checkpoint());
      kept.push(`the checkpoint of step ${run.step} is in ${checkpoints.name}`);
    }
    throwIfAborted(signal, kept.length === 0 ? "there were no checkpoints" : kept.join(", "));
  }

  #report(stream: SharedStream, milliseconds: number): void {
    const { onProgress } = this.#options;
    if (onProgress === undefined) return;
    let [done, total] = [0, 0];
    for (const { config, run, outcome } of this.#members) {
      total += config.steps * config.batchSize;
      done += run === null ? (outcome?.history.presentations ?? 0) : run.step * config.batchSize;
    }
    const [only, second] = this.#members;
    onProgress({
      stage: "train-sae",
      done,
      total,
      unit: "presentations",
      figures: {
        ...(second === undefined ? only?.figures : { training: this.#active().length }),
        tokensPerSecond: (1000 * stream.batchSize) / milliseconds,
      },
    });
  }
}

/** Faults that leave the other SAEs unharmed. */
function isOwnFault(error: unknown): error is LatentkitError {
  return (
    LatentkitError.isInstance(error) &&
    (error.code === "TRAIN_DIVERGED" || error.code === "ACTIVATIONS_NOT_FINITE")
  );
}

function checkNames(saes: readonly SaeTraining[]): void {
  const names = saes.map(({ name }) => name);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (saes.length > 0 && twice === undefined) return;
  throw new ConfigError({
    code: "TRAIN_NAMES",
    message: twice === undefined ? "no SAE was given" : `two SAEs have the name "${twice}"`,
    fix: "give at least one SAE, each with a name of its own",
  });
}

function batchSizesError(name: string, config: TrainConfig, stream: SharedStream): ConfigError {
  return new ConfigError({
    code: "TRAIN_BATCH_SIZES",
    message: `"${name}" has batches of ${config.batchSize}, others on its stream ${stream.batchSize}`,
    fix: "give SAEs of another batch size a stream of their own",
    where: name,
  });
}

function checkHeldOut(heldOut: Float32Array, dIn: number): void {
  if (heldOut.length % dIn !== 0) {
    throw new ShapeError({
      code: "SHAPE_ROWS",
      message: `${heldOut.length} held-out numbers are not rows of width ${dIn}`,
      fix: "give held-out activations of the same site as the batches",
    });
  }
  if (heldOut.length === 0) {
    throw new ConfigError({
      code: "HELD_OUT_EMPTY",
      message: "there are no held-out activations",
      fix: "hold documents out when harvesting, and pass some of their activations",
    });
  }
}
