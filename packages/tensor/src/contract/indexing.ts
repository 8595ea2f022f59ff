import type { Slice } from "./storage.ts";

/** Sizes of a tensor `[outer, axis, inner]` that is indexed along its middle axis, and how many indices there are along it. */
export interface AxisPlan {
  readonly outer: number;
  readonly axis: number;
  readonly inner: number;
  /** Indices along the axis. */
  readonly picks: number;
}

/**
 * Rows and elements by index. All floats are f32 unless a line says otherwise; index slices are i32.
 *
 * An index outside of the axis reads NaN (0 for integers), and what is added to it goes nowhere: a fault of the caller shows, and
 * no other memory is touched.
 */
export interface IndexingKernels {
  /** `out[r] = table[ids[r]]`, out `[rows, columns]`; the table is f32, f16 or bf16, whole rows of `columns`. */
  embedding(table: Slice, ids: Slice, rows: number, columns: number, out: Slice): void;
  /** `out[o, p, i] = x[o, ids[p], i]`; x and out of any one dtype, ids `[picks]`. */
  indexSelect(x: Slice, ids: Slice, plan: AxisPlan, out: Slice): void;
  /** `out[o, ids[p], i] += updates[o, p, i]`, in ascending order of p for each element; ids `[picks]`. */
  indexAdd(updates: Slice, ids: Slice, plan: AxisPlan, out: Slice): void;
  /** `out[o, p, i] = x[o, indices[o, p, i], i]`; x and out of any one dtype, indices `[outer, picks, inner]`. */
  gatherAxis(x: Slice, indices: Slice, plan: AxisPlan, out: Slice): void;
  /** `out[o, indices[o, p, i], i] += updates[o, p, i]`, in ascending order of p for each element. */
  scatterAddAxis(updates: Slice, indices: Slice, plan: AxisPlan, out: Slice): void;
  /** `out[r, ids[r]] = 1`, all else 0; out `[ids.length, width]`. */
  oneHot(ids: Slice, width: number, out: Slice): void;
  /** The first place p where `ids[p]` does not lie in `0 .. bound - 1`, and that id; -1 and 0 if all do. `out` is i32 `[2]`. */
  firstOutside(ids: Slice, bound: number, out: Slice): void;
}
