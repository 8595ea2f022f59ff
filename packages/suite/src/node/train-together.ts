import { type ActivationBatches, type ActivationStore, shardBatches } from "@latentkit/activations";
import type { LatentkitError, LongCallOptions } from "@latentkit/core";
import type { LanguageModel } from "@latentkit/models";
import {
  type Sae,
  type SaeOutcome,
  type SaeTraining,
  type TrainConfig,
  type TrainingHistory,
  trainSaes,
} from "@latentkit/sae";
import { checkpointFolder } from "@latentkit/sae/node";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { JobFolder } from "./job-record.ts";

/** An SAE to train, and the folder of its job. */
export interface SaeTask {
  readonly id: string;
  readonly config: TrainConfig;
  readonly folder: JobFolder;
}

/** How a {@link SaeTask} ended. The caller disposes the SAE. */
export type SaeEnd<Task> =
  | { readonly task: Task; readonly sae: Sae; readonly history: TrainingHistory }
  | { readonly task: Task; readonly error: LatentkitError };

/** What is trained on, and how. */
export interface TrainTogetherOptions extends LongCallOptions {
  readonly model: LanguageModel;
  readonly store: ActivationStore;
  /** Raw activations `[n, dIn]` that training never sees. */
  readonly heldOut: Float32Array;
}

/** Memory for the training activations that are mixed with each other. */
const mixedBytes = 2 ** 30;
/** Memory for what SAEs that are trained together have on the device. */
const trainedBytes = 2 ** 32;

/**
 * Trains SAEs of one place, with checkpoints in their jobs' folders while it goes on. Those of one seed and batch size share a stream: each
 * sees the same activations in the same order. As many as fit into {@link trainedBytes} are trained at a time, the next ones on the
 * same stream from its start.
 */
export async function* trainTogether<Task extends SaeTask>(
  tasks: readonly Task[],
  { model, store, heldOut, signal, onProgress }: TrainTogetherOptions,
): AsyncGenerator<SaeEnd<Task>, void, undefined> {
  const { name, weightsHash } = model.identity();
  const { packing, site } = store.manifest;
  const { contextSize, prependBos } = packing;
  const metadata = { modelName: name, hookName: site, weightsHash, contextSize, prependBos };
  for (const part of partsOf(tasks, store.dIn)) {
    const streams = new Map<string, ActivationBatches>();
    const saes = part.map(({ id, config, folder }): SaeTraining => {
      const { seed } = config;
      const key = `${seed} ${config.batchSize}`;
      const batches =
        streams.get(key) ?? shardBatches(store, { split: "train", seed, bufferBytes: mixedBytes });
      streams.set(key, batches);
      const checkpoints = checkpointFolder(checkpointsOf(folder));
      return { name: id, config, batches, heldOut, metadata, checkpoints };
    });
    yield* endsOf(part, await trainSaes({ device: model.device, saes, signal, onProgress }));
  }
}

/** Removes a job's checkpoints, once its result is written. */
export async function removeCheckpoints(folder: JobFolder): Promise<void> {
  await rm(checkpointsOf(folder), { recursive: true, force: true });
}

function checkpointsOf(folder: JobFolder): string {
  return join(folder.path, "checkpoints");
}

/** Outcomes with their tasks. What the caller does not come to take is freed here. */
function* endsOf<Task>(
  tasks: readonly Task[],
  outcomes: readonly SaeOutcome[],
): Generator<SaeEnd<Task>, void, undefined> {
  const left = new Set(outcomes.flatMap((one) => (one.status === "trained" ? [one.sae] : [])));
  try {
    for (const [place, task] of tasks.entries()) {
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
    for (const sae of left) sae.dispose();
  }
}

/** Tasks in their order, in parts whose parameters, gradients and moments fit into {@link trainedBytes}. */
function partsOf<Task extends SaeTask>(tasks: readonly Task[], dIn: number): Task[][] {
  const parts: Task[][] = [];
  let bytes = Number.POSITIVE_INFINITY;
  for (const task of tasks) {
    // Encoder and decoder, each with its gradient and two moments, in f32.
    const own = 2 * 4 * 4 * task.config.dSae * dIn;
    if (bytes + own > trainedBytes) {
      parts.push([]);
      bytes = 0;
    }
    bytes += own;
    parts.at(-1)?.push(task);
  }
  return parts;
}
