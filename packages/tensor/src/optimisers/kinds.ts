import { adamStep, sgdStep } from "../operators/optimise.ts";
import {
  Optimiser,
  type OptimiserOptions,
  type RateSettings,
  type UpdateRule,
} from "./optimiser.ts";

/** Settings of {@link sgd}. */
export interface SgdSettings extends RateSettings {
  /** Factor of the velocity; 0, none, by default. */
  readonly momentum?: number | undefined;
  readonly nesterov?: boolean | undefined;
  /** Added to the gradient, times the parameter; 0 by default. */
  readonly weightDecay?: number | undefined;
}

/** Settings of {@link adam} and {@link adamW}. */
export interface AdamSettings extends RateSettings {
  /** Decay of the mean of gradients and of their squares; 0.9 and 0.999 by default. */
  readonly betas?: readonly [number, number] | undefined;
  /** Added to the root; 1e-8 by default. */
  readonly epsilon?: number | undefined;
  /** 0 by default for Adam (times the parameter, added to the gradient), 0.01 for AdamW (decoupled). */
  readonly weightDecay?: number | undefined;
}

const sgdRule: UpdateRule<SgdSettings> = {
  kind: "sgd",
  slots: ({ momentum = 0 }) => (momentum === 0 ? [] : ["velocity"]),
  update({ parameter, gradient, slots, settings, learningRate, options }) {
    const { momentum = 0, nesterov = false, weightDecay = 0 } = settings;
    const plan = { learningRate, momentum, nesterov, l2: weightDecay };
    sgdStep(parameter, gradient, slots["velocity"] ?? null, plan, options);
  },
};

function adamRule(kind: "adam" | "adamW"): UpdateRule<AdamSettings> {
  return {
    kind,
    slots: ({ betas: [beta1] = defaultBetas }) =>
      beta1 === 0 ? ["secondMoment"] : ["firstMoment", "secondMoment"],
    update({ parameter, gradient, slots, settings, learningRate, step, options }) {
      const { betas: [beta1, beta2] = defaultBetas, epsilon = 1e-8, weightDecay } = settings;
      const [decoupled, l2] = kind === "adamW" ? [weightDecay ?? 0.01, 0] : [0, weightDecay ?? 0];
      const second = slots["secondMoment"];
      if (second === undefined) return; // every parameter has one, see slots
      adamStep(
        parameter,
        gradient,
        { first: slots["firstMoment"] ?? null, second },
        { learningRate, beta1, beta2, epsilon, weightDecay: decoupled, l2, step },
        options,
      );
    },
  };
}

const defaultBetas = [0.9, 0.999] as const;

/** Of AdamW, for optimisers that leave some parameters to it. */
export const adamWRule = adamRule("adamW");

/**
 * Stochastic gradient descent with momentum, as PyTorch's `SGD` without dampening; see `sgdStep` for the formula.
 *
 * @example
 * using optimiser = sgd(parameters, { learningRate: 0.1, momentum: 0.9 });
 */
export function sgd<Parameters>(
  parameters: Parameters,
  options: OptimiserOptions<SgdSettings>,
): Optimiser<Parameters, SgdSettings> {
  return new Optimiser(sgdRule, parameters, options);
}

/** Adam (Kingma and Ba, 2014); see `adamStep` for the formula. Weight decay, if any, is added to the gradient. */
export function adam<Parameters>(
  parameters: Parameters,
  options: OptimiserOptions<AdamSettings>,
): Optimiser<Parameters, AdamSettings> {
  return new Optimiser(adamRule("adam"), parameters, options);
}

/**
 * Adam with decoupled weight decay (Loshchilov and Hutter, 2017), of 0.01 times the learning rate unless told otherwise.
 *
 * @example
 * using optimiser = adamW(parameters, {
 *   learningRate: 3e-4,
 *   schedule: warmUp(100, cosineSchedule({ updates: 900 })),
 *   weightDecay: 0.1,
 *   groups: [{ match: /norm|bias/, weightDecay: 0 }],
 * });
 */
export function adamW<Parameters>(
  parameters: Parameters,
  options: OptimiserOptions<AdamSettings>,
): Optimiser<Parameters, AdamSettings> {
  return new Optimiser(adamWRule, parameters, options);
}
