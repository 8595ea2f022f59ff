import type { TrainConfig } from "./config.ts";

/**
 * Learning rate of one update, `step` counting from 0: cosine warm-up from a tenth to all of the peak over
 * `learningRateWarmup` steps (Gemma Scope, section 3.2), constant, then linear to 0 over the last `learningRateDecay` of the run.
 */
export function learningRateAt(config: TrainConfig, step: number): number {
  const { learningRate, learningRateWarmup, learningRateDecay, steps } = config;
  const warm =
    step < learningRateWarmup
      ? 0.1 + 0.45 * (1 - Math.cos((Math.PI * step) / learningRateWarmup))
      : 1;
  const decaySteps = learningRateDecay * steps;
  const left = steps - step;
  const decay = left < decaySteps ? left / decaySteps : 1;
  return learningRate * warm * decay;
}

/** lambda of one update, `step` counting from 0: linear from 0 over `sparsityWarmup` steps. 0 where there is none. */
export function sparsityAt(config: TrainConfig, step: number): number {
  if (!("sparsity" in config)) return 0;
  const { sparsity, sparsityWarmup } = config;
  return step < sparsityWarmup ? (sparsity * step) / sparsityWarmup : sparsity;
}
