import type { TrainingConfig } from "./config.ts";

/** The phases of a run in steps. */
export interface TrainingPlan {
  /** Steps in all: as many as it takes to see all tokens. */
  readonly steps: number;
  readonly tokensPerStep: number;
  /** Steps with a rising rate. */
  readonly warmUpEnd: number;
  /** First step with a falling rate; `steps` where there is none. */
  readonly decayStart: number;
  /** Step after which weights are first added to the average; `steps` + 1 where there is none. */
  readonly averageStart: number;
}

/** The phases that a configuration asks for. */
export function planOf(config: TrainingConfig, contextSize: number): TrainingPlan {
  const tokensPerStep = config.batch * contextSize;
  const steps = Math.ceil(config.tokens / tokensPerStep);
  const warmUpEnd = Math.min(config.warmUpSteps, steps);
  const decayStart = Math.max(warmUpEnd, steps - Math.round(config.decayShare * steps));
  const averageStart =
    config.averageShare === 0
      ? steps + 1
      : Math.max(1, steps - Math.round(config.averageShare * steps));
  return { steps, tokensPerStep, warmUpEnd, decayStart, averageStart };
}

/**
 * Factor of the learning rate at a step (the first is 0): warm-up, stable, decay (Hu et al., "MiniCPM", 2024; the form 1 - sqrt is
 * that of Hagele et al., "Scaling laws and compute-optimal training beyond fixed training durations", 2024).
 */
export function rateFactor(
  plan: TrainingPlan,
  { decay, floor, warmUpSteps }: TrainingConfig,
  step: number,
): number {
  if (step < plan.warmUpEnd) return (step + 1) / warmUpSteps;
  if (step < plan.decayStart) return 1;
  const x = Math.min(1, (step - plan.decayStart) / Math.max(1, plan.steps - plan.decayStart));
  const left =
    decay === "linear"
      ? 1 - x
      : decay === "cosine"
        ? (1 + Math.cos(Math.PI * x)) / 2
        : 1 - Math.sqrt(x);
  return floor + (1 - floor) * left;
}

/** The last step to which two plans do the same: a run that is not past it may go on by the other one. */
export function sharedSteps(one: TrainingPlan, other: TrainingPlan): number {
  return Math.min(one.decayStart, other.decayStart, one.averageStart - 1, other.averageStart - 1);
}
