import type { Slice } from "./storage.ts";

/** Which sums {@link SortKernels.cumsum} takes. */
export interface CumsumPlan {
  readonly outer: number;
  readonly axis: number;
  readonly inner: number;
  /** From the end to the beginning. */
  readonly reverse: boolean;
  /** Without the element itself: the first sum is 0. */
  readonly exclusive: boolean;
}

/** Order along rows, and running sums. All floats are f32 unless a line says otherwise; index slices are i32. */
export interface SortKernels {
  /**
   * Each row in order, equal elements (0 and -0 are) in their old order, with the columns they came from. NaN is larger than all
   * numbers. `x` and `values` are f32 or i32, `indices` i32.
   */
  sortRows(
    x: Slice,
    rows: number,
    columns: number,
    descending: boolean,
    values: Slice,
    indices: Slice,
  ): void;
  /** Each row's k largest, in descending order; of equals the lower index first. NaN counts as -infinity. */
  topKRows(x: Slice, rows: number, columns: number, k: number, values: Slice, indices: Slice): void;
  /** The same for all of `x` as one row that may be very long. */
  topKAll(x: Slice, k: number, values: Slice, indices: Slice): void;
  /** `out[o, j, i]` = sum of `x[o, 0 .. j, i]`, accumulated in f64 (or as well). */
  cumsum(x: Slice, plan: CumsumPlan, out: Slice): void;
}
