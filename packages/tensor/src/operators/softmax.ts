import { differentiable } from "../autograd/differentiable.ts";
import { asNonEmptyRows, floats, resolveAxis } from "../checks.ts";
import type { Tensor } from "../tensor.ts";
import { permute } from "./layout.ts";

/** Options of {@link softmax} and {@link logSoftmax}. */
export interface SoftmaxOptions {
  /** The axis whose elements sum to 1; negative counts from the end. The last by default; any other costs two transpositions. */
  readonly axis?: number | undefined;
}

/**
 * Softmax, `e^x / sum(e^x)` along an axis, computed with the maximum subtracted. A row of only -infinity gives NaN.
 *
 * Keeps its output for the gradient, `y (g - sum(g y))`.
 *
 * @param x f32 of at least one axis
 * @throws ShapeError `SHAPE_AXIS` for an axis that x does not have, `SHAPE_MISMATCH` for an axis without elements
 */
export function softmax(x: Tensor, { axis = -1 }: SoftmaxOptions = {}): Tensor {
  return alongAxis("softmax", x, axis, lastSoftmax);
}

/**
 * Natural logarithm of the softmax along an axis: `x - logsumexp(x)`.
 *
 * Keeps its output y for the gradient, `g - e^y sum(g)`. Parameters and errors as {@link softmax}.
 */
export function logSoftmax(x: Tensor, { axis = -1 }: SoftmaxOptions = {}): Tensor {
  return alongAxis("logSoftmax", x, axis, lastLogSoftmax);
}

function lastSoftmax(x: Tensor): Tensor {
  const input = floats("softmax", x);
  const { rows, columns } = asNonEmptyRows("softmax", x);
  const out = x.device.empty(x.shape);
  if (rows > 0) x.device.backend.kernels.softmaxRows(input, rows, columns, out.slice);
  return differentiable(out, {
    operator: "softmax",
    inputs: [x],
    saved: [out],
    rule: (gradient, { saved: [y] }) => {
      if (y === undefined) return [];
      const dX = y.device.empty(y.shape);
      const { kernels } = y.device.backend;
      if (rows > 0) kernels.softmaxGradientRows(y.slice, gradient.slice, rows, columns, dX.slice);
      return [dX];
    },
  });
}

function lastLogSoftmax(x: Tensor): Tensor {
  const input = floats("logSoftmax", x);
  const { rows, columns } = asNonEmptyRows("logSoftmax", x);
  const out = x.device.empty(x.shape);
  if (rows > 0) x.device.backend.kernels.logSoftmaxRows(input, rows, columns, out.slice);
  return differentiable(out, {
    operator: "logSoftmax",
    inputs: [x],
    saved: [out],
    rule: (gradient, { saved: [y] }) => {
      if (y === undefined) return [];
      const dX = y.device.empty(y.shape);
      const { kernels } = y.device.backend;
      if (rows > 0)
        kernels.logSoftmaxGradientRows(y.slice, gradient.slice, rows, columns, dX.slice);
      return [dX];
    },
  });
}

/** Runs an operator of rows along any axis: the axis is swapped with the last one, before and after. */
function alongAxis(operator: string, x: Tensor, axis: number, run: (x: Tensor) => Tensor): Tensor {
  const last = x.shape.length - 1;
  // A scalar has no axis to name: the operator says so.
  if (last < 0) return run(x);
  const at = resolveAxis(operator, x.shape, axis);
  if (at === last) return run(x);
  const order = x.shape.map((_, index) => (index === at ? last : index === last ? at : index));
  return x.device.scope(() => permute(run(permute(x, order)), order));
}
