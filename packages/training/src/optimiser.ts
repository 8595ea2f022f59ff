import { adamW, muon, type Optimiser, type Schedule, type Tensor } from "@latentkit/tensor";
import type { TrainingConfig } from "./config.ts";
import type { Weights } from "./step.ts";

/**
 * The optimiser that a configuration names. Norms have no weight decay; with Muon the embedding, the head and the norms are left to
 * AdamW, at the same rate.
 */
export function optimiserOf(
  weights: Weights,
  config: TrainingConfig,
  schedule: Schedule,
): Optimiser<Weights> {
  const { learningRate, betas, epsilon, weightDecay, momentum } = config;
  const settings = { learningRate, schedule, betas, epsilon, weightDecay };
  const isNorm = (_: string, { shape }: Tensor): boolean => shape.length < 2;
  if (config.optimiser === "adamW")
    return adamW(weights, { ...settings, groups: [{ match: isNorm, weightDecay: 0 }] });
  return muon(weights, {
    ...settings,
    momentum,
    groups: [
      { match: isNorm, rule: "adamW", weightDecay: 0 },
      { match: isOutside, rule: "adamW" },
    ],
  });
}

/** Embeddings and head, whose rows belong to tokens one by one. */
const isOutside = /embed_tokens|lm_head/;
