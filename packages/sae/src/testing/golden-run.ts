import type { ActivationBatches, BatchesState } from "@latentkit/activations";
import type { Device } from "@latentkit/tensor";
import {
  type CheckpointStore,
  memoryCheckpoints,
  type TrainingCheckpoint,
} from "../train/checkpoint.ts";
import type { TrainConfig } from "../train/config.ts";
import type { InputStatistics } from "../train/normalise.ts";

/** A run of a golden: its configuration, and each trained tensor at the start. */
export interface GoldenCase {
  readonly config: TrainConfig;
  readonly start: Readonly<Record<string, readonly number[]>>;
}

/** A store whose newest checkpoint is the golden's start, at step 0. */
export function goldenStart(
  device: Device,
  golden: { readonly dIn: number } & InputStatistics,
  { config, start }: GoldenCase,
): CheckpointStore {
  const { info } = device;
  const tensors: TrainingCheckpoint["tensors"][number][] = [
    { name: "silent", shape: [config.dSae], data: new Int32Array(config.dSae) },
  ];
  for (const [name, values] of Object.entries(start)) {
    for (const suffix of ["", ".first", ".second"]) {
      tensors.push({
        name: `${name}${suffix}`,
        shape: [values.length],
        data: suffix === "" ? Float32Array.from(values) : new Float32Array(values.length),
      });
    }
  }
  const store = memoryCheckpoints();
  void store.save({
    state: {
      schemaVersion: 1,
      config,
      dIn: golden.dIn,
      step: 0,
      statistics: {
        scale: golden.scale,
        ...(golden.scales === undefined ? {} : { scales: golden.scales }),
        variance: golden.variance,
      },
      recentL0: 0,
      window: { rows: 0, steps: 0, loss: 0, squaredError: 0, active: 0 },
      points: [],
      batches: null,
      backend: { name: info.name, matmul: info.matmul, threads: info.threads, build: info.build },
    },
    tensors,
  });
  return store;
}

/** Rows as they come, once. */
export function inOrder(data: Float32Array, dIn: number): ActivationBatches {
  let at = 0;
  const state: BatchesState = {
    seed: 0,
    rows: data.length / dIn,
    bufferShards: 1,
    epoch: 0,
    pool: 0,
    offset: 0,
  };
  return {
    dIn,
    uniqueTokens: data.length / dIn,
    next(size) {
      const batch = data.slice(at, at + size * dIn);
      at += size * dIn;
      return Promise.resolve(batch);
    },
    state: () => state,
    restore() {
      at = 0;
    },
  };
}
