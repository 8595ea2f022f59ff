import type { Slice } from "./storage.ts";

/**
 * `logSumExp` is -infinity over only -infinity; `max` and `min` are NaN where there is a NaN; `sumOfMagnitudes` is the L1 norm.
 */
export type ReduceOperator =
  | "logSumExp"
  | "max"
  | "mean"
  | "min"
  | "product"
  | "sum"
  | "sumOfMagnitudes"
  | "sumOfSquares";

/**
 * Reductions over the middle of [outer, axis, inner], all of at least one element; `out` is [outer, inner]. Sums are accumulated
 * pairwise or in f64. All floats are f32 unless a line says otherwise; index slices are i32.
 */
export interface ReduceKernels {
  reduce(
    operator: ReduceOperator,
    x: Slice,
    outer: number,
    axis: number,
    inner: number,
    out: Slice,
  ): void;
  /** `out = sum((x - mean)^2) / max(axis - correction, 0)`, in two passes: the mean first. */
  variance(
    x: Slice,
    outer: number,
    axis: number,
    inner: number,
    correction: number,
    out: Slice,
  ): void;
  /** `dx[k] = dOut * product of all x[j] with j != k`, so that zeros need no division; `dOut` is [outer, inner]. */
  productGradient(
    x: Slice,
    dOut: Slice,
    outer: number,
    axis: number,
    inner: number,
    dx: Slice,
  ): void;
  /** i32 index along the axis of the largest or smallest element, the first of equals. NaN never wins; of only NaN the index is 0. */
  argReduce(
    operator: "max" | "min",
    x: Slice,
    outer: number,
    axis: number,
    inner: number,
    out: Slice,
  ): void;
  /** Masks (u8): whether any element, or each, is not 0. */
  reduceMask(
    operator: "all" | "any",
    x: Slice,
    outer: number,
    axis: number,
    inner: number,
    out: Slice,
  ): void;
}
