import { formatShape, sizeOf } from "@latentkit/core";
import type { ReduceOperator } from "../backend.ts";
import { asNonEmptyRows, floats, requireValue, resolveAxis, shapeError } from "../checks.ts";
import type { Tensor } from "../tensor.ts";

/** Which axis a reduction runs over. */
export interface ReduceOptions {
  /** Negative counts from the end. Without it the whole tensor is reduced to a scalar of shape []. */
  readonly axis?: number | undefined;
  /** Whether the reduced axis stays, with size 1. */
  readonly keepDims?: boolean | undefined;
}

/** Sum; 0 over no elements. */
export function sum(x: Tensor, options: ReduceOptions = {}): Tensor {
  return reduce("sum", x, options);
}

/** Arithmetic mean; NaN over no elements. */
export function mean(x: Tensor, options: ReduceOptions = {}): Tensor {
  return reduce("mean", x, options);
}

/** Largest element, NaN if there is a NaN. Throws `ShapeError` over an axis without elements. */
export function max(x: Tensor, options: ReduceOptions = {}): Tensor {
  return reduce("max", x, options);
}

/** Sum of the squares; 0 over no elements. */
export function sumOfSquares(x: Tensor, options: ReduceOptions = {}): Tensor {
  return reduce("sumOfSquares", x, options);
}

function reduce(
  operator: ReduceOperator,
  x: Tensor,
  { axis, keepDims = false }: ReduceOptions,
): Tensor {
  const input = floats(operator, x);
  const whole = axis === undefined;
  const at = whole ? 0 : resolveAxis(operator, x.shape, axis);
  const outer = whole ? 1 : sizeOf(x.shape.slice(0, at));
  const size = whole ? x.size : (x.shape[at] ?? 1);
  const inner = whole ? 1 : sizeOf(x.shape.slice(at + 1));
  if (size === 0 && operator === "max") {
    throw shapeError(
      "max",
      `x of shape ${formatShape(x.shape)}, which has no elements to choose from`,
      "leave out empty tensors",
    );
  }
  const kept = whole ? x.shape.map(() => 1) : x.shape.with(at, 1);
  const shape = keepDims ? kept : whole ? [] : x.shape.toSpliced(at, 1);
  if (size === 0) return x.device.full(shape, operator === "mean" ? Number.NaN : 0);
  const out = x.device.empty(shape);
  if (out.size > 0) x.device.backend.kernels.reduce(operator, input, outer, size, inner, out.slice);
  return out;
}

/**
 * Index (i32) of the largest element along the last axis, the first of equals; the axis goes. NaN counts as -infinity.
 * Throws `ShapeError` if the last axis is missing or empty.
 */
export function argmax(x: Tensor): Tensor {
  const input = floats("argmax", x);
  const { rows, columns } = asNonEmptyRows("argmax", x);
  const out = x.device.empty(x.shape.slice(0, -1), "i32");
  if (rows > 0) x.device.backend.kernels.argmaxRows(input, rows, columns, out.slice);
  return out;
}

/**
 * The k largest elements along the last axis, in descending order, and their indices (i32); of equals the lower index comes
 * first. NaN counts as -infinity. Throws `ConfigError` unless `1 <= k <=` the last axis's size.
 */
export function topK(x: Tensor, k: number): { values: Tensor; indices: Tensor } {
  const input = floats("topK", x);
  const { rows, columns } = asNonEmptyRows("topK", x);
  requireValue(
    Number.isInteger(k) && k >= 1 && k <= columns,
    "topK",
    "k",
    k,
    `an integer from 1 to ${columns}, the last size of ${formatShape(x.shape)}`,
  );
  return x.device.scope(() => {
    const shape = [...x.shape.slice(0, -1), k];
    const values = x.device.empty(shape);
    const indices = x.device.empty(shape, "i32");
    if (rows > 0)
      x.device.backend.kernels.topKRows(input, rows, columns, k, values.slice, indices.slice);
    return { values, indices };
  });
}
