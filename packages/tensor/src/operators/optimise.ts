import { ConfigError, formatShape } from "@latentkit/core";
import { refuseInPlace } from "../autograd/in-place.ts";
import type { AdamPlan, SgdPlan, Slice } from "../backend.ts";
import { asRows, floats, requireShape, requireValue, sameDevice, shapeError } from "../checks.ts";
import type { Tensor } from "../tensor.ts";

/** The moving averages that Adam keeps for a parameter, of the parameter's shape. */
export interface AdamMoments {
  /** Of the gradient; may be null when `beta1` is 0, which needs none. */
  readonly first: Tensor | null;
  /** Of the squared gradient. */
  readonly second: Tensor;
}

/** What {@link adamStep} and {@link sgdStep} take besides their plan. */
export interface StepOptions {
  /**
   * A tensor of one element that the gradient is multiplied by, such as the scale of `clipByGlobalNorm`. Where it is NaN the update
   * is left out.
   */
  readonly gradientScale?: Tensor | null | undefined;
}

/**
 * One update of Adam (Kingma and Ba, 2014), in place on the parameter and both moments, with `g = gradientScale * gradient + l2 * p`:
 * `m = beta1 m + (1 - beta1) g`, `v = beta2 v + (1 - beta2) g^2`,
 * `p -= learningRate * (m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + epsilon) + weightDecay * p)`.
 *
 * Throws `ShapeError` for unequal shapes, `ConfigError` `VALUE_RANGE` and `ADAM_MOMENT_MISSING`, `LatentkitError`
 * `AUTOGRAD_IN_PLACE` while a tape records the parameter.
 */
export function adamStep(
  parameter: Tensor,
  gradient: Tensor,
  moments: AdamMoments,
  plan: AdamPlan,
  { gradientScale = null }: StepOptions = {},
): void {
  const { first, second } = moments;
  const target = requireUpdate("adamStep", parameter, { gradient, first, second });
  const below1 = "at least 0 and below 1";
  requireValue(plan.beta1 >= 0 && plan.beta1 < 1, "adamStep", "beta1", plan.beta1, below1);
  requireValue(plan.beta2 >= 0 && plan.beta2 < 1, "adamStep", "beta2", plan.beta2, below1);
  requireValue(
    Number.isInteger(plan.step) && plan.step >= 1,
    "adamStep",
    "step",
    plan.step,
    "an integer of at least 1",
  );
  requireValue(plan.epsilon >= 0, "adamStep", "epsilon", plan.epsilon, "at least 0");
  requireFinite("adamStep", {
    learningRate: plan.learningRate,
    weightDecay: plan.weightDecay,
    l2: plan.l2 ?? 0,
  });
  if (first === null && plan.beta1 !== 0) {
    throw new ConfigError({
      code: "ADAM_MOMENT_MISSING",
      message: `adamStep got no first moment for a parameter of shape ${formatShape(parameter.shape)}, with beta1 = ${plan.beta1}`,
      fix: "give a first moment of zeros, or beta1 = 0",
    });
  }
  const scale = scaleSlice("adamStep", parameter, gradientScale);
  if (parameter.size === 0) return;
  parameter.device.backend.kernels.adam(
    target,
    gradient.slice,
    first?.slice ?? noSlice(target),
    second.slice,
    plan,
    scale,
  );
}

/**
 * One update of stochastic gradient descent, in place on the parameter and the velocity, as PyTorch has it:
 * `g = gradientScale * gradient + l2 * p`, `velocity = momentum * velocity + g`,
 * `p -= learningRate * (nesterov ? g + momentum * velocity : velocity)`. The velocity may be null when `momentum` is 0.
 *
 * Throws `ShapeError` for unequal shapes, `ConfigError` `VALUE_RANGE` and `SGD_VELOCITY_MISSING`, `LatentkitError`
 * `AUTOGRAD_IN_PLACE` while a tape records the parameter.
 */
export function sgdStep(
  parameter: Tensor,
  gradient: Tensor,
  velocity: Tensor | null,
  plan: SgdPlan,
  { gradientScale = null }: StepOptions = {},
): void {
  const target = requireUpdate("sgdStep", parameter, { gradient, velocity });
  const { learningRate, momentum, l2 } = plan;
  requireValue(
    momentum >= 0 && momentum < 1,
    "sgdStep",
    "momentum",
    momentum,
    "at least 0 and below 1",
  );
  requireFinite("sgdStep", { learningRate, l2 });
  if (velocity === null && momentum !== 0) {
    throw new ConfigError({
      code: "SGD_VELOCITY_MISSING",
      message: `sgdStep got no velocity for a parameter of shape ${formatShape(parameter.shape)}, with momentum = ${momentum}`,
      fix: "give a velocity of zeros, or momentum = 0",
    });
  }
  const scale = scaleSlice("sgdStep", parameter, gradientScale);
  if (parameter.size === 0) return;
  parameter.device.backend.kernels.sgd(
    target,
    gradient.slice,
    velocity?.slice ?? noSlice(target),
    plan,
    scale,
  );
}

/** Checks that all are f32, of the parameter's shape and on its device, and that no gradient of it is being recorded. */
function requireUpdate(
  operator: string,
  parameter: Tensor,
  others: Readonly<Record<string, Tensor | null>>,
): Slice {
  const target = floats(operator, parameter, "parameter");
  const why = `as the parameter of shape ${formatShape(parameter.shape)}`;
  for (const [name, other] of Object.entries(others)) {
    if (other === null) continue;
    floats(operator, other, name);
    sameDevice(operator, parameter, other);
    requireShape(operator, name, other.shape, parameter.shape, why);
  }
  refuseInPlace(operator, parameter);
  return target;
}

function requireFinite(operator: string, values: Readonly<Record<string, number>>): void {
  for (const [name, value] of Object.entries(values))
    requireValue(Number.isFinite(value), operator, name, value, "a finite number");
}

function scaleSlice(operator: string, parameter: Tensor, scale: Tensor | null): Slice | null {
  if (scale === null) return null;
  const slice = floats(operator, scale, "gradientScale");
  sameDevice(operator, parameter, scale);
  if (scale.size === 1) return slice;
  throw shapeError(
    operator,
    `gradientScale of shape ${formatShape(scale.shape)}, expected one element`,
    "give the scale of clipByGlobalNorm, or another tensor of one element",
  );
}

function noSlice({ storage }: Slice): Slice {
  return { storage, offset: 0, length: 0, dtype: "f32" };
}

/** Divides each row (last axis) by its L2 norm in place; rows of norm 0 stay as they are. */
export function normalizeRows(x: Tensor): void {
  const target = floats("normalizeRows", x);
  const { rows, columns } = asRows("normalizeRows", x);
  refuseInPlace("normalizeRows", x);
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
  refuseInPlace("removeParallelRows", gradient);
  if (gradient.size > 0)
    gradient.device.backend.kernels.removeParallelRows(target, reference, rows, columns);
}
