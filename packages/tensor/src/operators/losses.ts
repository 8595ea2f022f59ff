import { formatShape, sameShape, type Shape } from "@latentkit/core";
import { differentiable } from "../autograd/differentiable.ts";
import type { CrossEntropyPlan } from "../backend.ts";
import {
  asNonEmptyRows,
  floats,
  integers,
  requireValue,
  sameDevice,
  shapeError,
} from "../checks.ts";
import type { Tensor } from "../tensor.ts";
import { div, mul, sub } from "./arithmetic.ts";
import { exp, softplus, square } from "./unary.ts";
import { mean, sum } from "./reduce.ts";
import { logSoftmax } from "./softmax.ts";

/** What becomes of a loss's many numbers. */
export type Reduction = "mean" | "none" | "sum";

/** Options of {@link crossEntropy}. */
export interface CrossEntropyOptions {
  /** `"none"` (the default) gives one number a row; `"mean"` is over the rows that are not ignored, NaN if there are none. */
  readonly reduction?: Reduction | undefined;
  /** Rows of this target have loss and gradient 0; so have rows of any negative target. -100 by default. */
  readonly ignoreIndex?: number | undefined;
  /** Part of each target's probability that is spread evenly over all classes, 0 (the default) to 1. */
  readonly labelSmoothing?: number | undefined;
  /** Coefficient of `logsumexp(logits)^2`, added to each row's loss (Chowdhery et al., 2022, section 5). 0 by default. */
  readonly zLoss?: number | undefined;
}

/**
 * Cross entropy in nats of each row against its target class:
 * `logsumexp(logits) - (1 - s) logits[target] - s mean(logits) + zLoss logsumexp(logits)^2` with s = labelSmoothing.
 *
 * Its gradient, `(1 + 2 zLoss logsumexp) softmax(logits) - (1 - s) onehot(target) - s / classes` times the row's, is written in
 * one pass from the logits and two numbers a row: nothing else of the logits' size is kept.
 *
 * @param logits f32 [n, classes]
 * @param targets i32 [n]. Not read back, so not checked: a target that is not below `classes` gives NaN, in the loss and in its
 * row of the gradient.
 * @returns f32 [n], or [] with a reduction
 * @throws ShapeError `SHAPE_MISMATCH` unless the shapes are those; ConfigError `VALUE_RANGE` for options out of their range
 *
 * @example
 * const loss = crossEntropy(logits, targets, { reduction: "mean" });
 */
export function crossEntropy(
  logits: Tensor,
  targets: Tensor,
  options: CrossEntropyOptions = {},
): Tensor {
  const { reduction = "none", ignoreIndex = -100, labelSmoothing = 0, zLoss = 0 } = options;
  floats("crossEntropy", logits, "logits");
  integers("crossEntropy", targets, "targets");
  sameDevice("crossEntropy", logits, targets);
  const [rows = 0, columns = 0] = logits.shape;
  if (
    logits.shape.length !== 2 ||
    columns === 0 ||
    targets.shape.length !== 1 ||
    targets.shape[0] !== rows
  ) {
    throw shapeError(
      "crossEntropy",
      `logits of shape ${formatShape(logits.shape)} and targets of shape ${formatShape(targets.shape)}`,
      "give logits [n, vocabulary] and targets [n]",
    );
  }
  requireOptions({ ignoreIndex, labelSmoothing, zLoss });
  const { device } = logits;
  return device.scope(() => {
    const losses = rowLosses(logits, targets, {
      rows,
      columns,
      ignoreIndex,
      labelSmoothing,
      zLoss,
    });
    if (reduction === "none") return losses;
    if (reduction === "sum") return sum(losses);
    const count = device.empty([]);
    device.backend.kernels.countTargets(targets.slice, rows, ignoreIndex, count.slice);
    return div(sum(losses), count);
  });
}

/** The operator itself; arguments are checked. */
function rowLosses(logits: Tensor, targets: Tensor, plan: CrossEntropyPlan): Tensor {
  const { device } = logits;
  const losses = device.empty([plan.rows]);
  const keeps = device.tape?.tracks(logits) === true;
  const statistics = keeps ? device.empty([plan.rows, 2]) : null;
  if (plan.rows > 0)
    device.backend.kernels.crossEntropyRows(
      logits.slice,
      targets.slice,
      plan,
      losses.slice,
      statistics?.slice ?? null,
    );
  return differentiable(losses, {
    operator: "crossEntropy",
    inputs: [logits],
    saved: statistics === null ? [] : [logits, targets, statistics],
    rule: (gradient, { saved: [kept, keptTargets, keptStatistics] }) => {
      if (kept === undefined || keptTargets === undefined || keptStatistics === undefined)
        return [];
      const dLogits = device.empty(kept.shape);
      if (plan.rows > 0)
        device.backend.kernels.crossEntropyGradientRows(
          kept.slice,
          keptTargets.slice,
          keptStatistics.slice,
          gradient.slice,
          plan,
          dLogits.slice,
        );
      return [dLogits];
    },
  });
}

function requireOptions({
  ignoreIndex,
  labelSmoothing,
  zLoss,
}: Pick<CrossEntropyPlan, "ignoreIndex" | "labelSmoothing" | "zLoss">): void {
  requireValue(
    Number.isInteger(ignoreIndex),
    "crossEntropy",
    "ignoreIndex",
    ignoreIndex,
    "an integer",
  );
  requireValue(
    labelSmoothing >= 0 && labelSmoothing <= 1,
    "crossEntropy",
    "labelSmoothing",
    labelSmoothing,
    "a number from 0 to 1",
  );
  requireValue(
    zLoss >= 0 && Number.isFinite(zLoss),
    "crossEntropy",
    "zLoss",
    zLoss,
    "a number of at least 0",
  );
}

/**
 * Kullback-Leibler divergence in nats, `sum(p (log p - log q))` along the last axis, of the distributions that two tensors of
 * logits describe: KL(p || q). Gradients to both.
 *
 * @param pLogits f32 [..., classes], the distribution that the expectation is over
 * @param qLogits f32 of the same shape
 * @returns f32 [...], one number a row
 * @throws ShapeError `SHAPE_MISMATCH` for different shapes or rows without elements
 */
export function klDivergence(pLogits: Tensor, qLogits: Tensor): Tensor {
  requireSameShape("klDivergence", "pLogits", pLogits, "qLogits", qLogits);
  asNonEmptyRows("klDivergence", pLogits, "pLogits");
  return pLogits.device.scope(() => {
    const [logP, logQ] = [logSoftmax(pLogits), logSoftmax(qLogits)];
    return sum(mul(exp(logP), sub(logP, logQ)), { axis: -1 });
  });
}

/** What the losses between two tensors of one shape take. */
export interface LossOptions {
  /** `"mean"` by default. */
  readonly reduction?: Reduction | undefined;
}

/**
 * Squared error, `(prediction - target)^2`, its mean over all elements by default. Gradients to both.
 *
 * @returns f32 [], or of the inputs' shape without a reduction
 * @throws ShapeError `SHAPE_MISMATCH` for different shapes
 */
export function mseLoss(
  prediction: Tensor,
  target: Tensor,
  { reduction = "mean" }: LossOptions = {},
): Tensor {
  requireSameShape("mseLoss", "prediction", prediction, "target", target);
  return prediction.device.scope(() => reduce(square(sub(prediction, target)), reduction));
}

/**
 * Binary cross entropy in nats of logits, `softplus(x) - x t`, its mean over all elements by default. Targets
 * are probabilities. Gradients to both.
 *
 * @returns f32 [], or of the inputs' shape without a reduction
 * @throws ShapeError `SHAPE_MISMATCH` for different shapes
 */
export function binaryCrossEntropy(
  logits: Tensor,
  targets: Tensor,
  { reduction = "mean" }: LossOptions = {},
): Tensor {
  requireSameShape("binaryCrossEntropy", "logits", logits, "targets", targets);
  return logits.device.scope(() => {
    return reduce(sub(softplus(logits), mul(logits, targets)), reduction);
  });
}

function reduce(losses: Tensor, reduction: Reduction): Tensor {
  if (reduction === "none") return losses;
  return reduction === "sum" ? sum(losses) : mean(losses);
}

function requireSameShape(
  operator: string,
  leftName: string,
  left: Tensor,
  rightName: string,
  right: Tensor,
): void {
  floats(operator, left, leftName);
  floats(operator, right, rightName);
  sameDevice(operator, left, right);
  const [a, b]: readonly [Shape, Shape] = [left.shape, right.shape];
  if (sameShape(a, b)) return;
  throw shapeError(
    operator,
    `${leftName} of shape ${formatShape(a)} and ${rightName} of shape ${formatShape(b)}`,
    "give equal shapes",
  );
}
