import type { Slice } from "./storage.ts";

/**
 * Sparse rows in padded form: row r has `counts[r]` entries at `r * capacity ..`, so that every row has its own place and
 * no device needs a prefix sum. Entries of a row are in ascending order of latent index.
 */
export interface SparseRowsSlices {
  readonly rows: number;
  /** Columns of the matrix that the rows were taken from (d_sae). */
  readonly width: number;
  /** Entries that a row has room for. */
  readonly capacity: number;
  /** i32 `[rows]`. */
  readonly counts: Slice;
  /** i32 `[rows, capacity]`. */
  readonly indices: Slice;
  /** f32 `[rows, capacity]`: the latent's activation, 0 where the entry is kept for its gradient alone. */
  readonly values: Slice;
}

/** Sparse autoencoders. All floats are f32 unless a line says otherwise; index slices are i32. */
export interface SparseKernels {
  /**
   * Keeps each row's k largest of `pre [rows, width]` (of those with `allowed[i] != 0`, i32 `[width]`, if given), then ReLU.
   * `counts` = k, or the number of allowed latents where there are fewer. Of equals the lower latent is kept.
   */
  sparsifyTopK(pre: Slice, k: number, allowed: Slice | null, out: SparseRowsSlices): void;
  /**
   * Keeps entries that fire (`pre > threshold[i]`, strictly) or whose threshold has a gradient (`|pre - threshold[i]| <
   * bandwidth / 2`); `values` = pre where it fires, else 0; `preActivations [rows, capacity]` = pre. A row with more entries
   * than `capacity` keeps the first ones, and its count says how many there were.
   */
  sparsifyJumpRelu(
    pre: Slice,
    threshold: Slice,
    bandwidth: number,
    out: SparseRowsSlices,
    preActivations: Slice,
  ): void;
  /**
   * Keeps the `kept` largest elements of all of `pre [rows, width]` (at most rows * width; NaN counts as -infinity; of equals
   * the one that comes first in the matrix), then ReLU. A row keeps as many as fall to it: `counts[r]` says how many, and of a
   * row with more than `capacity` the first `capacity` are there.
   */
  sparsifyBatchTopK(pre: Slice, kept: number, out: SparseRowsSlices): void;
  /** `out[r] = bias + sum_e values[e] * weight[indices[e]]`, weight `[width, columns]`; bias may be null. */
  sparseDecode(
    rows: SparseRowsSlices,
    weight: Slice,
    bias: Slice | null,
    columns: number,
    out: Slice,
  ): void;
  /** For each entry: `out[e] = dot(weight[indices[e]], x[row])`, the gradient of {@link Kernels.sparseDecode} to its values. */
  sparseDot(rows: SparseRowsSlices, weight: Slice, x: Slice, columns: number, out: Slice): void;
  /** For each entry: `out[indices[e]] += coefficients[e] * x[row]`, out `[width, columns]`: its gradient to the weight. */
  sparseOuterAdd(
    rows: SparseRowsSlices,
    coefficients: Slice,
    x: Slice,
    columns: number,
    out: Slice,
  ): void;
  /** For each entry: `out[indices[e]] += coefficients[e]`, out `[width]`. */
  sparseScatterAdd(rows: SparseRowsSlices, coefficients: Slice, out: Slice): void;
  /** For each entry with value > 0: `out[indices[e]] += 1`; out is i32 `[width]`. */
  sparseCountFiring(rows: SparseRowsSlices, out: Slice): void;
  /** `out[r]` = number of entries with value > 0, as f32. */
  sparseRowL0(rows: SparseRowsSlices, out: Slice): void;
  /** Writes the rows into a dense `[rows, width]` matrix, zeros elsewhere. */
  sparseToDense(rows: SparseRowsSlices, out: Slice): void;
  /** For each entry the element of `dense [rows, width]` at its place, `out [rows, capacity]`: the reverse of the above. */
  sparseGather(rows: SparseRowsSlices, dense: Slice, out: Slice): void;
  /** `out[0]` = the smallest value above 0, infinity where there is none. */
  sparseSmallest(rows: SparseRowsSlices, out: Slice): void;
  /** `dPre[e] = dValues[e]` where `values[e] > 0`, else 0: ReLU's and TopK's gradient. */
  reluGradient(rows: SparseRowsSlices, dValues: Slice, dPre: Slice): void;
  /**
   * JumpReLU's pseudo-gradients (2407.14435, section 3), rectangle kernel K of the given bandwidth eps:
   * `dPre[e] = dValues[e] * H(pre - theta)`;
   * `dThreshold[i] += sum_e -(theta/eps) K((pre - theta)/eps) dValues[e] - (s/eps) K((pre - theta)/eps)`, where s is the
   * loss's gradient to the row's ||f||_0: `sparsity` (lambda over the batch size), plus `dL0[r]` (f32 `[rows]`) if given.
   */
  jumpReluGradient(
    rows: SparseRowsSlices,
    preActivations: Slice,
    threshold: Slice,
    bandwidth: number,
    sparsity: number,
    dL0: Slice | null,
    dValues: Slice,
    dPre: Slice,
    dThreshold: Slice,
  ): void;

  /**
   * {@link Kernels.sparsifyJumpRelu} where so many latents fire that matrix products are faster than sparse rows:
   * `out [rows, width]` = pre where it fires (`pre > threshold[i]`, strictly), else 0; `fired[i] += 1`, i32 `[width]`, for each.
   */
  jumpReluDense(
    pre: Slice,
    threshold: Slice,
    rows: number,
    width: number,
    out: Slice,
    fired: Slice,
  ): void;
  /** {@link Kernels.jumpReluGradient} of dense `[rows, width]` matrices; `dPre` may be `dValues`. */
  jumpReluDenseGradient(
    pre: Slice,
    threshold: Slice,
    rows: number,
    width: number,
    bandwidth: number,
    sparsity: number,
    dValues: Slice,
    dPre: Slice,
    dThreshold: Slice,
  ): void;
  /** Scales rows whose L2 norm is above `maximum` down to it, in place. */
  clipRowNorms(x: Slice, rows: number, columns: number, maximum: number): void;
}
