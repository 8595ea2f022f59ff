import { internalFault } from "@latentkit/core";
import type { Sae } from "../sae.ts";
import type { TrainingHistory } from "./history.ts";
import { type SaeTraining, trainSaes, type TrainSaesOptions } from "./train-saes.ts";

/** What {@link trainSae} needs. */
export interface TrainSaeOptions
  extends Omit<SaeTraining, "name">, Omit<TrainSaesOptions, "onStep" | "saes"> {}

/** What {@link trainSae} gives. */
export interface TrainSaeResult {
  /** Reads raw activations: scale and pre-encoder bias are folded in. The caller disposes it. */
  readonly sae: Sae;
  readonly history: TrainingHistory;
}

/**
 * Trains an SAE. With checkpoints, a run that was aborted or killed goes on where the newest one stands, and ends with the same
 * bytes as an uninterrupted run on the same backend. `trainSaes` trains several on one stream.
 *
 * @throws MismatchError `CHECKPOINT_*` where the checkpoint is of another run
 * @throws ConfigError `TRAIN_CONFIG_INVALID`; `TRAIN_ARCHITECTURE_UNKNOWN`; `TRAIN_DIVERGED` when the loss is no longer finite, or the
 *   error has exploded
 * @throws FormatError `ACTIVATIONS_NOT_FINITE`, `ACTIVATIONS_CONSTANT`; ShapeError `SHAPE_ROWS`
 * @throws AbortedError after the signal; the checkpoint of the last complete step is kept
 *
 * @example
 * const { sae, history } = await trainSae({ device, config: topK({ dSae: 4096, k: 32 }), batches, heldOut });
 */
export async function trainSae(options: TrainSaeOptions): Promise<TrainSaeResult> {
  const { config, batches, heldOut, metadata, checkpoints, ...rest } = options;
  const training: SaeTraining = { name: "sae", config, batches, heldOut, metadata, checkpoints };
  const [outcome] = await trainSaes({ ...rest, saes: [training] });
  if (outcome === undefined) throw internalFault("an SAE was trained without an outcome");
  if (outcome.status === "stopped") throw outcome.error;
  return { sae: outcome.sae, history: outcome.history };
}
