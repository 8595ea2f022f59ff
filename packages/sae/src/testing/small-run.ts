import { arrayBatches, type ActivationBatches } from "@latentkit/activations";
import type { Device } from "@latentkit/tensor";
import type { TrainConfigInput } from "../train/config.ts";
import type { TrainSaeOptions } from "../train/train-sae.ts";
import { toyWorld } from "./toy-world.ts";

/** The kinds of training that differ in what a checkpoint must hold. */
export type SmallRunKind = "jumprelu-log" | "jumprelu-raw" | "topk";

/** A training run of milliseconds, the same wherever it is started. */
export function smallRun(
  kind: SmallRunKind,
  device: Device,
  steps: number,
): TrainSaeOptions & { readonly batches: ActivationBatches } {
  const { data, dIn } = toyWorld({ features: 12, dIn: 6, density: 0.15, rows: 300, seed: 5 });
  const common = {
    dSae: 20,
    batchSize: 32,
    steps,
    learningRate: 3e-3,
    learningRateWarmup: 4,
    learningRateDecay: 0.2,
    deadAfterTokens: 96,
    normalisationTokens: 200,
    evaluateEvery: 3,
    checkpointEvery: 4,
    blockRows: 10,
    seed: 9,
  };
  const jumpRelu = {
    architecture: "jumprelu",
    adam: { beta1: 0, beta2: 0.999, epsilon: 1e-8 },
    decoderBias: "zero",
    sparsity: 0.05,
    sparsityWarmup: 5,
    bandwidth: 0.1,
    initialThreshold: 0.1,
  } as const;
  const configs: Record<SmallRunKind, TrainConfigInput> = {
    topk: {
      ...common,
      architecture: "topk",
      adam: { beta1: 0.9, beta2: 0.999, epsilon: 6.25e-10 },
      decoderBias: "geometric-median",
      k: 1,
      auxiliaryWeight: 1 / 32,
    },
    "jumprelu-raw": { ...common, ...jumpRelu, thresholdForm: "raw" },
    "jumprelu-log": { ...common, ...jumpRelu, thresholdForm: "log" },
  };
  return {
    device,
    config: configs[kind],
    batches: arrayBatches(data.subarray(0, 260 * dIn), dIn, 3),
    heldOut: data.slice(260 * dIn),
  };
}
