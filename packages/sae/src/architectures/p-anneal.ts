import { affine, greater, maximum, mul, pow, sum, where } from "@latentkit/tensor";
import type { PAnnealTrainConfig } from "../train/kinds.ts";
import type { GradientStep, StepResult } from "../train/step.ts";
import type { TrainingArchitecture } from "../train/training-architecture.ts";
import { reluStep } from "./relu-step.ts";
import { withZeroThreshold } from "./threshold-forms.ts";

/**
 * ReLU with the penalty `lambda_t sum f^p` (Lp to the power p), rows of W_dec at unit norm, p falling from 1 to `finalP` in equal
 * amounts (2408.00113). At each change lambda_t is multiplied by E[sum f^p] / E[sum f^p_next] over the last batches, so that the
 * penalty does not jump. For inference a JumpReLU of threshold 0.
 */
export const pAnneal: TrainingArchitecture = {
  name: "p_anneal",
  gradients,
  inferenceForm: ({ weights }) => withZeroThreshold(weights),
};

/** The smallest activation whose penalty has a gradient of its own: p f^(p - 1) has no bound towards 0. */
const smallest = 1e-12;

async function gradients(step: GradientStep): Promise<StepResult> {
  // The registry hands each architecture its own member of the union.
  const config = step.config as PAnnealTrainConfig;
  const batch = step.x.shape[0] ?? 0;
  const done = annealsBefore(config, step.step);
  const [p, nextP] = [pAfter(config, done), pAfter(config, done + 1)];
  const factor = step.memory["factor"]?.[0] ?? 1;
  const weight = (factor * step.sparsity) / batch;
  const { sums, ...result } = await reluStep(step, (latents) => {
    const fires = greater(latents, 0);
    const kept = maximum(latents, smallest);
    const power = (exponent: number) => where(fires, pow(kept, exponent), 0);
    return {
      dLatents: affine(mul(power(p), pow(kept, -1)), { factor: weight * p, bias: 0 }),
      sums: [sum(power(p)), sum(power(nextP))],
    };
  });
  const [current = 0, next = 0] = sums.map((value) => value / batch);
  const window = (name: string, newest: number): readonly number[] =>
    [...(step.memory[name] ?? []), newest].slice(-config.averagedSteps);
  const [currents, nexts] = [window("current", current), window("next", next)];
  const changes = annealsBefore(config, step.step + 1) > done;
  const [above, below] = [mean(currents), mean(nexts)];
  return {
    ...result,
    loss: result.loss + factor * step.sparsity * current,
    memory: changes
      ? // Where nothing fired there is nothing to keep continuous.
        { factor: [factor * (above > 0 && below > 0 ? above / below : 1)] }
      : { factor: [factor], current: currents, next: nexts },
  };
}

/** How many changes of p there were before the step, which counts from 0; a change takes effect at the step after its own. */
export function annealsBefore(config: PAnnealTrainConfig, step: number): number {
  const { annealStart, annealEnd, anneals } = config;
  let count = 0;
  for (let index = 0; index < anneals; index++) {
    const share = anneals === 1 ? 0 : index / (anneals - 1);
    if (annealStart + Math.floor(share * (annealEnd - annealStart)) < step) count += 1;
  }
  return count;
}

/** p after so many changes. */
export function pAfter(config: PAnnealTrainConfig, changes: number): number {
  return 1 - (1 - config.finalP) * Math.min(1, changes / config.anneals);
}

function mean(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0) / values.length;
}
