import { Random } from "@latentkit/core";
import { shortRunJumpRelu, topK, type TrainConfigInput } from "@latentkit/sae";
import { small } from "./size.ts";

/** What a case of SAE training is made of. */
export interface TrainingSizes {
  readonly dIn: number;
  readonly dSae: number;
  readonly batch: number;
  /** Latents that TopK keeps. */
  readonly k: number;
  /** Latents that JumpReLU's thresholds are to leave active. */
  readonly l0: number;
  /** Timed steps, after one that pays for allocation. */
  readonly steps: number;
}

/** The sizes of the targets on a CPU. */
export const cpuSizes: TrainingSizes = small
  ? { dIn: 32, dSae: 256, batch: 128, k: 8, l0: 8, steps: 4 }
  : { dIn: 576, dSae: 16_384, batch: 4096, k: 64, l0: 60, steps: 4 };

/** One way to train, and what the peer needs to know to train the same way. */
export interface TrainingCase {
  readonly architecture: "jumprelu" | "topk";
  /** How many latents fire, in words. */
  readonly regime: string;
  readonly config: TrainConfigInput;
  readonly peer: Readonly<Record<string, number | string>>;
}

const fixed = {
  recipe: "custom",
  /** So slow that L0 stays what the thresholds made it for the few steps of a bench. */
  learningRate: 7e-5,
  /** As in a long run: no latent of a few steps is dead, and neither side computes an auxiliary loss. */
  deadAfterTokens: 10_000_000,
} as const;

/** TopK, and JumpReLU with thresholds set on the data. */
export function trainingCases(sizes: TrainingSizes): TrainingCase[] {
  const { batch, dIn, dSae, k, l0, steps } = sizes;
  const run = { dSae, batchSize: batch, tokens: batch * (steps + 1), points: 1 };
  const shape = { "d-in": dIn, "d-sae": dSae, batch, steps, "learning-rate": fixed.learningRate };
  const threshold = thresholdFor(l0 / dSae, dIn);
  const jumpRelu = shortRunJumpRelu(run);
  return [
    {
      architecture: "topk",
      regime: `L0 ${k}`,
      config: { ...topK({ ...run, k }), ...fixed },
      peer: { ...shape, architecture: "topk", k },
    },
    {
      architecture: "jumprelu",
      regime: `thresholds for L0 ${l0}`,
      config: { ...jumpRelu, ...fixed, initialThreshold: threshold },
      peer: { ...shape, architecture: "jumprelu", threshold, bandwidth: jumpRelu.bandwidth },
    },
  ];
}

/** JumpReLU as the recipe `short-run` starts: thresholds so low that a large share of the latents fires. */
export function denseStart(sizes: TrainingSizes): TrainingCase {
  const { batch, dIn, dSae, steps } = sizes;
  const config = shortRunJumpRelu({
    dSae,
    batchSize: batch,
    tokens: batch * (steps + 1),
    points: 1,
  });
  return {
    architecture: "jumprelu",
    regime: "first steps of short-run",
    config,
    peer: {
      "d-in": dIn,
      "d-sae": dSae,
      batch,
      steps,
      architecture: "jumprelu",
      "learning-rate": config.learningRate,
      threshold: config.initialThreshold,
      bandwidth: config.bandwidth,
    },
  };
}

/**
 * Rows `[rows, dIn]` of a Gaussian with unit mean square norm. Their products with a unit vector are normal with variance 1 / dIn.
 */
export function gaussianRows(rows: number, dIn: number, seed = 0): Float32Array {
  return new Random(seed).fillNormal(new Float32Array(rows * dIn), 1 / Math.sqrt(dIn));
}

/** The threshold above which this share of the pre-activations of {@link gaussianRows} by unit rows lies, from a million draws of them. */
export function thresholdFor(share: number, dIn: number): number {
  const sample = gaussianRows(2 ** 20, 1, 1).sort();
  const rank = Math.round(sample.length * (1 - share));
  return (sample[Math.min(rank, sample.length - 1)] ?? 0) / Math.sqrt(dIn);
}
