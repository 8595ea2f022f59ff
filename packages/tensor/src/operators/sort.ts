import { DTypeError, formatShape, sizeOf } from "@latentkit/core";
import { differentiable } from "../autograd/differentiable.ts";
import {
  asNonEmptyRows,
  asRows,
  floats,
  requireValue,
  resolveAxis,
  shapeError,
} from "../checks.ts";
import type { Tensor } from "../tensor.ts";
import { addedToZeros } from "./indexing.ts";

/** Elements in order, and where they came from (i32). */
export interface Ranked {
  readonly values: Tensor;
  readonly indices: Tensor;
}

/** Which way to sort. */
export interface SortOptions {
  /** From the largest to the smallest. False by default. */
  readonly descending?: boolean | undefined;
}

/**
 * The last axis in order, and the index that each element had: `values[.., j] = x[.., indices[.., j]]`. Stable: equal elements (0
 * and -0 are) keep their order, in both directions. As in PyTorch, NaN is larger than all numbers. f32, or i32 for whole numbers.
 * The gradient goes back to where the values came from.
 */
export function sort(x: Tensor, { descending = false }: SortOptions = {}): Ranked {
  const input = x.slice;
  if (x.dtype !== "f32" && x.dtype !== "i32") {
    throw new DTypeError({
      code: "DTYPE_MISMATCH",
      message: `sort got x of dtype ${x.dtype} and shape ${formatShape(x.shape)}, expected f32 or i32`,
      fix: 'widen it first: convert(x, "f32")',
    });
  }
  const { rows, columns } = asRows("sort", x);
  return x.device.scope(() => {
    const values = x.device.empty(x.shape, x.dtype);
    const indices = x.device.empty(x.shape, "i32");
    if (x.size > 0)
      x.device.backend.kernels.sortRows(
        input,
        rows,
        columns,
        descending,
        values.slice,
        indices.slice,
      );
    return { values: backToRows("sort", x, values, indices), indices };
  });
}

/** The indices (i32) that put the last axis in order, as {@link sort} gives them. */
export function argsort(x: Tensor, options: SortOptions = {}): Tensor {
  return x.device.scope(() => x.device.withTape(null, () => sort(x, options).indices));
}

/**
 * The k largest elements along the last axis, in descending order, and their indices (i32); of equals the lower index comes
 * first. NaN counts as -infinity. The gradient goes back to where the values came from.
 *
 * Throws `ConfigError` unless `1 <= k <=` the last axis's size.
 */
export function topK(x: Tensor, k: number): Ranked {
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
    return { values: backToRows("topK", x, values, indices), indices };
  });
}

/**
 * The k largest of all elements, as {@link topK} of the tensor as one row: values and indices [k], the indices those of the
 * flattened tensor. What BatchTopK SAEs keep of a batch (2412.06410).
 *
 * Throws `ConfigError` unless `1 <= k <=` the number of elements, and `ShapeError` beyond 2^31 elements.
 */
export function topKAll(x: Tensor, k: number): Ranked {
  const input = floats("topKAll", x);
  requireValue(
    Number.isInteger(k) && k >= 1 && k <= x.size,
    "topKAll",
    "k",
    k,
    `an integer from 1 to ${x.size}, the number of elements of ${formatShape(x.shape)}`,
  );
  if (x.size > 2 ** 31 - 1) {
    throw shapeError(
      "topKAll",
      `x of shape ${formatShape(x.shape)}, whose indices i32 does not hold`,
      "take fewer rows at a time",
    );
  }
  return x.device.scope(() => {
    const values = x.device.empty([k]);
    const indices = x.device.empty([k], "i32");
    x.device.backend.kernels.topKAll(input, k, values.slice, indices.slice);
    return { values: backToRows("topKAll", x, values, indices), indices };
  });
}

/** Records that `values` are elements of `x`, `indices` within rows as long as `x` has for each row of `values`. */
function backToRows(operator: string, x: Tensor, values: Tensor, indices: Tensor): Tensor {
  const picks = operator === "topKAll" ? values.size : (values.shape.at(-1) ?? 1);
  const rows = picks === 0 ? 0 : values.size / picks;
  const plan = { outer: rows, axis: rows === 0 ? 0 : x.size / rows, inner: 1, picks };
  return differentiable(values, {
    operator,
    inputs: [x],
    saved: [indices],
    rule: (gradient, { saved: [savedIndices = indices] }) => [
      addedToZeros("scatterAddAxis", gradient, savedIndices, plan, x.shape),
    ],
  });
}

/** Which sums {@link cumsum} takes. */
export interface CumsumOptions {
  /** Negative counts from the end. */
  readonly axis: number;
  /** Sums of the elements from each on to the end, instead of from the beginning. */
  readonly reverse?: boolean | undefined;
  /** Sums without the element itself; the first is 0. */
  readonly exclusive?: boolean | undefined;
}

/**
 * Running sums along an axis: `out[j] = x[0] + .. + x[j]`, accumulated in f64. f32. The gradient is the running sum in the other
 * direction: `dx[j] = dOut[j] + .. + dOut[last]`.
 */
export function cumsum(
  x: Tensor,
  { axis: given, reverse = false, exclusive = false }: CumsumOptions,
): Tensor {
  const input = floats("cumsum", x);
  const axis = resolveAxis("cumsum", x.shape, given);
  const out = x.device.empty(x.shape);
  if (x.size > 0) {
    const plan = {
      outer: sizeOf(x.shape.slice(0, axis)),
      axis: x.shape[axis] ?? 1,
      inner: sizeOf(x.shape.slice(axis + 1)),
      reverse,
      exclusive,
    };
    x.device.backend.kernels.cumsum(input, plan, out.slice);
  }
  return differentiable(out, {
    operator: "cumsum",
    inputs: [x],
    rule: (gradient) => [cumsum(gradient, { axis, reverse: !reverse, exclusive })],
  });
}
