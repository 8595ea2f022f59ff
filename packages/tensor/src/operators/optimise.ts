import { ConfigError, formatShape } from "@latentkit/core";
import type { AdamPlan, Slice } from "../backend.ts";
import { asRows, floats, requireShape, requireValue, sameDevice } from "../checks.ts";
import type { Tensor } from "../tensor.ts";

/** The moving averages that Adam keeps for a parameter, of the parameter's shape. */
export interface AdamMoments {
  /** Of the gradient; may be null when `beta1` is 0, which needs none. */
  readonly first: Tensor | null;
  /** Of the squared gradient. */
  readonly second: Tensor;
}

/**
 * One update of Adam (Kingma and Ba, 2014), in place on the parameter and both moments:
 * `p -= learningRate * (m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + epsilon) + weightDecay * p)`.
 */
export function adamStep(
  parameter: Tensor,
  gradient: Tensor,
  moments: AdamMoments,
  plan: AdamPlan,
): void {
  const { first, second } = moments;
  const target = floats("adamStep", parameter, "parameter");
  const why = `as the parameter of shape ${formatShape(parameter.shape)}`;
  const others: (readonly [string, Tensor])[] = [
    ["gradient", gradient],
    ["second", second],
  ];
  if (first !== null) others.push(["first", first]);
  for (const [name, other] of others) {
    floats("adamStep", other, name);
    sameDevice("adamStep", parameter, other);
    requireShape("adamStep", name, other.shape, parameter.shape, why);
  }
  const inRange = (value: number): boolean => value >= 0 && value < 1;
  requireValue(inRange(plan.beta1), "adamStep", "beta1", plan.beta1, "at least 0 and below 1");
  requireValue(inRange(plan.beta2), "adamStep", "beta2", plan.beta2, "at least 0 and below 1");
  requireValue(
    Number.isInteger(plan.step) && plan.step >= 1,
    "adamStep",
    "step",
    plan.step,
    "an integer of at least 1",
  );
  requireValue(plan.epsilon >= 0, "adamStep", "epsilon", plan.epsilon, "at least 0");
  requireValue(
    Number.isFinite(plan.learningRate),
    "adamStep",
    "learningRate",
    plan.learningRate,
    "a finite number",
  );
  requireValue(
    Number.isFinite(plan.weightDecay),
    "adamStep",
    "weightDecay",
    plan.weightDecay,
    "a finite number",
  );
  if (first === null && plan.beta1 !== 0) {
    throw new ConfigError({
      code: "ADAM_MOMENT_MISSING",
      message: `adamStep got no first moment for a parameter of shape ${formatShape(parameter.shape)}, with beta1 = ${plan.beta1}`,
      fix: "give a first moment of zeros, or beta1 = 0",
    });
  }
  if (parameter.size === 0) return;
  const none: Slice = { storage: target.storage, offset: 0, length: 0, dtype: "f32" };
  parameter.device.backend.kernels.adam(
    target,
    gradient.slice,
    first?.slice ?? none,
    second.slice,
    plan,
  );
}

/** Divides each row (last axis) by its L2 norm in place; rows of norm 0 stay as they are. */
export function normalizeRows(x: Tensor): void {
  const target = floats("normalizeRows", x);
  const { rows, columns } = asRows("normalizeRows", x);
  if (x.size > 0) x.device.backend.kernels.normalizeRows(target, rows, columns);
}

/**
 * Takes out of each gradient row, in place, its part along the weight's row: `g -= (g . u) u`, `u = w / |w|`. Rows of `weight`
 * with norm 0 leave their gradient as it is. Equal shapes.
 */
export function removeParallelRows(gradient: Tensor, weight: Tensor): void {
  const [target, reference] = [
    floats("removeParallelRows", gradient, "gradient"),
    floats("removeParallelRows", weight, "weight"),
  ];
  sameDevice("removeParallelRows", gradient, weight);
  requireShape(
    "removeParallelRows",
    "gradient",
    gradient.shape,
    weight.shape,
    `as the weight of shape ${formatShape(weight.shape)}`,
  );
  const { rows, columns } = asRows("removeParallelRows", gradient, "gradient");
  if (gradient.size > 0)
    gradient.device.backend.kernels.removeParallelRows(target, reference, rows, columns);
}
