import { arrayBatches, type ActivationBatches } from "@latentkit/activations";
import type { Device } from "@latentkit/tensor";
import type { TrainConfigInput } from "../train/config.ts";
import type { TrainSaeOptions } from "../train/train-sae.ts";
import { scaledRelu } from "./scaled-relu.ts";
import { toyWorld } from "./toy-world.ts";

/** The kinds of training that differ in what a checkpoint must hold. */
export type SmallRunKind =
  | "abstopk"
  | "batchtopk"
  | "batchtopk_crosscoder"
  | "crosscoder"
  | "custom"
  | "gated"
  | "jumprelu-log"
  | "jumprelu-raw"
  | "jumprelu-target"
  | "jumprelu_tanh"
  | "matching_pursuit"
  | "matryoshka_batchtopk"
  | "p_anneal"
  | "standard"
  | "topk"
  | "transcoder";

/** All of {@link SmallRunKind}. */
export const smallRunKinds: readonly SmallRunKind[] = [
  "abstopk",
  "batchtopk",
  "batchtopk_crosscoder",
  "crosscoder",
  "custom",
  "gated",
  "jumprelu-log",
  "jumprelu-raw",
  "jumprelu-target",
  "jumprelu_tanh",
  "matching_pursuit",
  "matryoshka_batchtopk",
  "p_anneal",
  "standard",
  "topk",
  "transcoder",
];

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
  const adam = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 };
  const penalty = { adam, decoderBias: "zero", sparsity: 0.1, sparsityWarmup: 5 } as const;
  const batchTopK = {
    adam,
    decoderBias: "geometric-median",
    k: 1.3,
    auxiliaryWeight: 1 / 32,
    thresholdRate: 0.1,
    thresholdStart: 2,
  } as const;
  const sites = [
    { name: "early", width: 4 },
    { name: "late", width: 2 },
  ];
  const configs: Record<SmallRunKind, TrainConfigInput> = {
    topk: {
      ...common,
      architecture: "topk",
      adam: { beta1: 0.9, beta2: 0.999, epsilon: 6.25e-10 },
      decoderBias: "geometric-median",
      k: 1,
      auxiliaryWeight: 1 / 32,
    },
    abstopk: {
      ...common,
      architecture: "abstopk",
      adam,
      decoderBias: "geometric-median",
      k: 1,
      auxiliaryWeight: 1 / 32,
    },
    matching_pursuit: {
      ...common,
      architecture: "matching_pursuit",
      adam,
      decoderBias: "geometric-median",
      maxIterations: 3,
      residualThreshold: 0.3,
    },
    crosscoder: { ...common, ...penalty, architecture: "crosscoder", sites },
    batchtopk_crosscoder: { ...common, ...batchTopK, architecture: "batchtopk_crosscoder", sites },
    transcoder: {
      ...common,
      ...jumpRelu,
      decoderBias: "geometric-median",
      thresholdForm: "raw",
      transcoder: { dOut: 2, skip: true, targetScale: "target" },
    },
    "jumprelu-target": {
      ...common,
      ...jumpRelu,
      thresholdForm: "raw",
      penalty: "relative",
      targetL0: 2,
    },
    "jumprelu-raw": { ...common, ...jumpRelu, thresholdForm: "raw" },
    "jumprelu-log": { ...common, ...jumpRelu, thresholdForm: "log" },
    batchtopk: { ...common, ...batchTopK, architecture: "batchtopk" },
    matryoshka_batchtopk: {
      ...common,
      ...batchTopK,
      architecture: "matryoshka_batchtopk",
      widths: [5, 12, 20],
    },
    gated: { ...common, ...penalty, architecture: "gated" },
    standard: {
      ...common,
      ...penalty,
      architecture: "standard",
      decoderNorm: "free",
      gradientClip: 0.5,
    },
    jumprelu_tanh: {
      ...common,
      ...penalty,
      architecture: "jumprelu_tanh",
      bandwidth: 0.2,
      initialThreshold: 0.05,
      thresholdForm: "log",
      preActivationWeight: 0.01,
      preActivationOn: "dead",
      gradientClip: 1,
    },
    // p changes at steps 4, 6, 8 and 10, so that checkpoints fall between the batches that are averaged.
    p_anneal: {
      ...common,
      ...penalty,
      architecture: "p_anneal",
      annealStart: 4,
      annealEnd: 10,
      anneals: 4,
      averagedSteps: 3,
    },
    custom: {
      ...common,
      ...penalty,
      architecture: "custom",
      name: "scaled-relu",
      options: { start: 0.5 },
    },
  };
  return {
    device,
    config: configs[kind],
    batches: arrayBatches(data.subarray(0, 260 * dIn), dIn, 3),
    heldOut: data.slice(260 * dIn),
    architectures: [scaledRelu],
  };
}
