import { type ActivationStore, shardBatches } from "@latentkit/activations";
import type { LatentkitError, LongCallOptions } from "@latentkit/core";
import type { LanguageModel } from "@latentkit/models";
import { type Sae, type TrainingHistory, trainSaes } from "@latentkit/sae";
import { checkpointFolder } from "@latentkit/sae/node";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { JobFolder } from "../job-record.ts";
import type { Comparison } from "../../compare/config.ts";
import { type ComparedSae, trainingOf } from "../../compare/plan.ts";

/** An SAE to train and its job's folder. */
export interface CompareTask {
  readonly sae: ComparedSae;
  readonly folder: JobFolder;
}

/** How a {@link CompareTask} ended. The caller disposes the SAE. */
export type CompareEnd =
  | { readonly task: CompareTask; readonly sae: Sae; readonly history: TrainingHistory }
  | { readonly task: CompareTask; readonly error: LatentkitError };

/** Memory for the training activations that are mixed with each other. */
const mixedBytes = 2 ** 30;
/** Memory for what SAEs that are trained together have on the device. */
const trainedBytes = 2 ** 32;

/**
 * Trains SAEs of one seed on one stream, with checkpoints in their jobs' folders: each sees the same activations in the same order. Where
 * not all fit into memory, part after part, on the same stream from its start.
 */
export async function* trainGroup(
  context: LongCallOptions & { readonly comparison: Comparison; readonly model: LanguageModel },
  tasks: readonly CompareTask[],
  store: ActivationStore,
  heldOut: Float32Array,
): AsyncGenerator<CompareEnd, void, undefined> {
  const { comparison, model, signal, onProgress } = context;
  const { name, weightsHash } = model.identity();
  const { packing, site } = store.manifest;
  // Encoder and decoder, each with its gradient and two moments, in f32.
  const own = 2 * 4 * 4 * comparison.width * store.dIn;
  const size = Math.max(1, Math.floor(trainedBytes / own));
  for (let start = 0; start < tasks.length; start += size) {
    const part = tasks.slice(start, start + size);
    const seed = part[0]?.sae.seed ?? 0;
    const batches = shardBatches(store, { split: "train", seed, bufferBytes: mixedBytes });
    const outcomes = await trainSaes({
      device: model.device,
      saes: part.map(({ sae, folder }) => ({
        name: sae.id,
        config: trainingOf(comparison, sae),
        batches,
        heldOut,
        metadata: {
          modelName: name,
          hookName: site,
          weightsHash,
          contextSize: packing.contextSize,
          prependBos: packing.prependBos,
        },
        checkpoints: checkpointFolder(checkpointsOf(folder)),
      })),
      signal,
      onProgress,
    });
    // What the caller does not come to take is freed here.
    const left = new Set(outcomes.flatMap((one) => (one.status === "trained" ? [one.sae] : [])));
    try {
      for (const [place, task] of part.entries()) {
        const outcome = outcomes[place];
        if (outcome === undefined) continue;
        if (outcome.status === "stopped") {
          yield { task, error: outcome.error };
          continue;
        }
        left.delete(outcome.sae);
        yield { task, sae: outcome.sae, history: outcome.history };
      }
    } finally {
      for (const sae of left) sae[Symbol.dispose]();
    }
  }
}

/** Removes a job's checkpoints, once its result is written. */
export async function removeCheckpoints(folder: JobFolder): Promise<void> {
  await rm(checkpointsOf(folder), { recursive: true, force: true });
}

function checkpointsOf(folder: JobFolder): string {
  return join(folder.path, "checkpoints");
}
