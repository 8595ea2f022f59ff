import type { ActivationBatches } from "@latentkit/activations";
import type { Device } from "@latentkit/tensor";
import { evaluateOnWorld, type WorldMetrics } from "../synthetic/evaluate-on-world.ts";
import { type SyntheticRows, SyntheticWorld } from "../synthetic/world.ts";
import { parseTrainConfig } from "../train/config.ts";
import { trainSae } from "../train/train-sae.ts";

/**
 * The worlds that every architecture is trained on: the most frequent features have two children each, half of which exclude each other;
 * frequencies by Zipf, firing correlated by four factors, frequent features stronger. `small`, for tests, has 20 features in 16
 * dimensions; `crowded`, for the table of the documentation, 48 in 24.
 */
export const plantedWorlds = {
  small: new SyntheticWorld({
    features: 20,
    dIn: 16,
    firing: { kind: "zipf", exponent: 0.5, start: 0.16, end: 0.05 },
    magnitude: { kind: "linear", start: 1.3, end: 0.8 },
    deviation: 0.2,
    correlation: { kind: "low-rank", rank: 4, scale: 0.2 },
    hierarchy: { roots: 2, branching: 2, depth: 1, exclusiveShare: 0.5, compensate: true },
  }),
  crowded: new SyntheticWorld({
    features: 48,
    dIn: 24,
    firing: { kind: "zipf", exponent: 0.5, start: 0.25, end: 0.03 },
    magnitude: { kind: "linear", start: 1.3, end: 0.8 },
    deviation: 0.2,
    correlation: { kind: "low-rank", rank: 4, scale: 0.2 },
    hierarchy: { roots: 6, branching: 2, depth: 1, exclusiveShare: 0.5, compensate: true },
  }),
};

/** One of {@link plantedKinds}. */
export type PlantedKind = keyof ReturnType<typeof plantedKinds>;

const penalty = { sparsityWarmup: 200 };
const jump = {
  ...penalty,
  architecture: "jumprelu",
  bandwidth: 0.1,
  initialThreshold: 0.1,
  thresholdForm: "raw",
};
/**
 * What each kind of training is given beside the common values, so that about as many latents fire as features do.
 *
 * @param k features that fire on average, rounded
 */
export function plantedKinds(k: number, dIn: number, dSae: number) {
  const topK = { k, auxiliaryWeight: 1 / 32 };
  const sites = [
    { name: "early", width: dIn / 2 },
    { name: "late", width: dIn / 2 },
  ];
  return {
    standard: { ...penalty, sparsity: 0.5, architecture: "standard", decoderNorm: "unit" },
    "april-2024": {
      ...penalty,
      sparsity: 0.45,
      architecture: "standard",
      decoderNorm: "free",
      gradientClip: 1,
    },
    p_anneal: {
      ...penalty,
      sparsity: 0.35,
      architecture: "p_anneal",
      annealStart: 200,
      annealEnd: 320,
    },
    // At this learning rate rows of unit norm overshoot without clipping; SAELens always clips (docs/results/synthetic.md).
    gated: { ...penalty, sparsity: 0.5, architecture: "gated", gradientClip: 1 },
    jumprelu: { ...jump, sparsity: 0.04 },
    "jumprelu quadratic": { ...jump, sparsity: 0.02, penalty: "quadratic", targetL0: k },
    "jumprelu relative": { ...jump, sparsity: 1, penalty: "relative", targetL0: k },
    jumprelu_tanh: {
      ...penalty,
      sparsity: 0.05,
      architecture: "jumprelu_tanh",
      bandwidth: 0.1,
      initialThreshold: 0.05,
      thresholdForm: "raw",
      preActivationWeight: 3e-6,
      gradientClip: 1,
    },
    topk: { ...topK, architecture: "topk" },
    abstopk: { ...topK, architecture: "abstopk" },
    batchtopk: { ...topK, architecture: "batchtopk" },
    matryoshka_batchtopk: {
      ...topK,
      architecture: "matryoshka_batchtopk",
      widths: [Math.floor(dSae / 4), Math.floor(dSae / 2), dSae],
    },
    matching_pursuit: {
      architecture: "matching_pursuit",
      maxIterations: k + 2,
      residualThreshold: 0.3,
    },
    crosscoder: { ...penalty, sparsity: 0.3, architecture: "crosscoder", sites },
    batchtopk_crosscoder: { ...topK, architecture: "batchtopk_crosscoder", sites },
  } as const;
}

/** Names of {@link plantedKinds}. */
export const plantedKindNames: readonly PlantedKind[] = [
  "standard",
  "april-2024",
  "p_anneal",
  "gated",
  "jumprelu",
  "jumprelu quadratic",
  "jumprelu relative",
  "jumprelu_tanh",
  "topk",
  "abstopk",
  "batchtopk",
  "matryoshka_batchtopk",
  "matching_pursuit",
  "crosscoder",
  "batchtopk_crosscoder",
];

/** A run on one of the worlds. */
export interface PlantedRun {
  readonly world: SyntheticWorld;
  readonly kind: PlantedKind;
  /** Features that fire on average, rounded. */
  readonly k: number;
  readonly batches: ActivationBatches;
  readonly heldOut: SyntheticRows;
  readonly steps: number;
  /** As many as there are features by default. */
  readonly dSae?: number;
  readonly seed?: number;
  /** Over the configuration. */
  readonly changes?: object;
}

/** Trains one kind, and holds it against the truth. */
export async function trainPlanted(device: Device, run: PlantedRun): Promise<WorldMetrics> {
  const { world, kind, k, batches, heldOut, steps, seed = 0, changes = {} } = run;
  const { dIn, features } = world.config;
  const { dSae = features } = run;
  const { sae } = await trainSae({
    device,
    config: parseTrainConfig({
      dSae,
      batchSize: 256,
      steps,
      learningRate: 3e-3,
      learningRateWarmup: 100,
      learningRateDecay: 0.2,
      adam: { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 },
      decoderBias: "zero",
      deadAfterTokens: 20_000,
      normalisationTokens: 16_384,
      evaluateEvery: steps,
      checkpointEvery: steps,
      seed,
      ...plantedKinds(k, dIn, dSae)[kind],
      ...changes,
    }),
    batches,
    heldOut: heldOut.activations,
  });
  try {
    return await evaluateOnWorld(sae, world, heldOut);
  } finally {
    sae.dispose();
  }
}
