import type { ActivationBatches } from "@latentkit/activations";
import {
  ConfigError,
  type LongCallOptions,
  ShapeError,
  throwIfAborted,
  yieldToEventLoop,
} from "@latentkit/core";
import type { Device } from "@latentkit/tensor";
import { blockRowsFor } from "../blocks.ts";
import type { SaeMetadata } from "../config.ts";
import type { Sae } from "../sae.ts";
import type { CheckpointStore } from "./checkpoint.ts";
import { parseTrainConfig, type TrainConfigInput } from "./config.ts";
import type { TrainingHistory } from "./history.ts";
import { TrainingRun } from "./run.ts";
import type { TrainingArchitecture } from "./training-architecture.ts";

/** What {@link trainSae} needs. */
export interface TrainSaeOptions extends LongCallOptions {
  readonly device: Device;
  /** A recipe's result, or values of one's own. */
  readonly config: TrainConfigInput;
  /** The training activations, raw, unmasked tokens only. Its seed belongs to the caller. */
  readonly batches: ActivationBatches;
  /** Raw activations `[n, dIn]` that training never sees. */
  readonly heldOut: Float32Array;
  /** Where the SAE comes from; kept in its configuration. */
  readonly metadata?: SaeMetadata | undefined;
  /** Where to keep checkpoints, and to resume from; none by default. */
  readonly checkpoints?: CheckpointStore | undefined;
  /** Architectures of one's own, for configurations with `architecture: "custom"`. */
  readonly architectures?: readonly TrainingArchitecture[] | undefined;
  /** Go on with a checkpoint of another backend, although the numbers will round otherwise. */
  readonly allowOtherBackend?: boolean | undefined;
}

/** What {@link trainSae} gives. */
export interface TrainSaeResult {
  /** Reads raw activations: scale and pre-encoder bias are folded in. The caller disposes it. */
  readonly sae: Sae;
  readonly history: TrainingHistory;
}

/** Milliseconds of synchronous work after which timers and signals get their turn. */
const turn = 50;

/**
 * Trains an SAE. With checkpoints, a run that was aborted or killed goes on where the newest one stands, and ends with the same
 * bytes as an uninterrupted run on the same backend.
 *
 * @throws MismatchError `CHECKPOINT_*` where the checkpoint is of another run
 * @throws ConfigError `TRAIN_CONFIG_INVALID`; `TRAIN_ARCHITECTURE_UNKNOWN`; `TRAIN_DIVERGED` when the loss is no longer finite
 * @throws AbortedError after the signal; the checkpoint of the last complete step is kept
 *
 * @example
 * const { sae, history } = await trainSae({ device, config: topK({ dSae: 4096, k: 32 }), batches, heldOut });
 */
export async function trainSae(options: TrainSaeOptions): Promise<TrainSaeResult> {
  const { batches, heldOut, checkpoints, signal, onProgress } = options;
  const config = parseTrainConfig(options.config);
  checkHeldOut(heldOut, batches.dIn);
  using run = await TrainingRun.start({
    ...options,
    config,
    blockRows: config.blockRows ?? blockRowsFor(config.dSae),
  });
  const total = config.steps * config.batchSize;
  let lastTurn = performance.now();
  while (run.step < config.steps) {
    if (signal?.aborted === true) {
      if (checkpoints !== undefined) await checkpoints.save(await run.checkpoint());
      throwIfAborted(
        signal,
        checkpoints === undefined
          ? "there were no checkpoints"
          : `the checkpoint of step ${run.step} is in ${checkpoints.name}`,
      );
    }
    await run.advance();
    const ended = run.step === config.steps;
    if (ended || run.step % config.evaluateEvery === 0) {
      await run.evaluate(heldOut);
      await checkpoints?.record?.(run.points);
    }
    if (checkpoints !== undefined && (ended || run.step % config.checkpointEvery === 0))
      await checkpoints.save(await run.checkpoint());
    onProgress?.({
      stage: "train-sae",
      done: run.step * config.batchSize,
      total,
      unit: "presentations",
      figures: run.figures(),
    });
    if (performance.now() - lastTurn > turn) {
      await yieldToEventLoop();
      lastTurn = performance.now();
    }
  }
  return { sae: await run.exportSae(options.metadata), history: run.history() };
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
