import type { Kernels, SparseRowsSlices } from "../backend.ts";
import { largestFirst } from "./reduce.ts";
import { f32, i32 } from "./storage.ts";

type SparseKernels = Pick<
  Kernels,
  | "sparsifyTopK"
  | "sparsifyBatchTopK"
  | "sparsifyJumpRelu"
  | "sparseDecode"
  | "sparseDot"
  | "sparseOuterAdd"
  | "sparseScatterAdd"
  | "sparseCountFiring"
  | "sparseRowL0"
  | "sparseToDense"
  | "sparseGather"
  | "sparseSmallest"
  | "clipRowNorms"
>;

export const sparseKernels: SparseKernels = {
  sparsifyTopK(pre, k, allowed, out) {
    const source = f32(pre);
    const mask = allowed === null ? null : i32(allowed);
    const [counts, indices, values] = [i32(out.counts), i32(out.indices), f32(out.values)];
    for (let row = 0; row < out.rows; row++) {
      const own = source.subarray(row * out.width, (row + 1) * out.width);
      const kept = largestFirst(own)
        .filter((latent) => mask === null || mask[latent] !== 0)
        .subarray(0, k)
        .sort();
      counts[row] = kept.length;
      for (const [place, latent] of kept.entries()) {
        indices[row * out.capacity + place] = latent;
        values[row * out.capacity + place] = Math.max(own[latent] ?? Number.NaN, 0);
      }
    }
  },

  sparsifyBatchTopK(pre, kept, out) {
    const source = f32(pre);
    const [counts, indices, values] = [i32(out.counts), i32(out.indices), f32(out.values)];
    counts.fill(0);
    for (const element of largestFirst(source).subarray(0, kept).sort()) {
      const [row, latent] = [Math.floor(element / out.width), element % out.width];
      const place = counts[row] ?? 0;
      counts[row] = place + 1;
      if (place >= out.capacity) continue;
      indices[row * out.capacity + place] = latent;
      values[row * out.capacity + place] = Math.max(source[element] ?? Number.NaN, 0);
    }
  },

  sparsifyJumpRelu(pre, threshold, bandwidth, out, preActivations) {
    const [source, thresholds, kept] = [f32(pre), f32(threshold), f32(preActivations)];
    const [counts, indices, values] = [i32(out.counts), i32(out.indices), f32(out.values)];
    for (let row = 0; row < out.rows; row++) {
      let count = 0;
      for (let latent = 0; latent < out.width; latent++) {
        const value = source[row * out.width + latent] ?? Number.NaN;
        const limit = thresholds[latent] ?? Number.NaN;
        const fires = value > limit;
        if (!fires && !insideWindow(value, limit, bandwidth)) continue;
        if (count < out.capacity) {
          const entry = row * out.capacity + count;
          indices[entry] = latent;
          values[entry] = fires ? value : 0;
          kept[entry] = value;
        }
        count++;
      }
      counts[row] = count;
    }
  },

  sparseDecode(rows, weight, bias, columns, out) {
    const [matrix, values, target] = [f32(weight), f32(rows.values), f32(out)];
    const start = bias === null ? null : f32(bias);
    const sums = new Float64Array(rows.rows * columns).map(
      (_, index) => start?.[index % columns] ?? 0,
    );
    for (const { row, latent, entry } of entriesOf(rows)) {
      const value = values[entry] ?? Number.NaN;
      // Entries kept for their gradient alone add nothing, not even NaN from an infinite weight.
      if (value === 0) continue;
      for (let i = 0; i < columns; i++)
        accumulate(sums, row * columns + i, value * (matrix[latent * columns + i] ?? Number.NaN));
    }
    target.set(sums);
  },

  sparseDot(rows, weight, x, columns, out) {
    const [matrix, source, target] = [f32(weight), f32(x), f32(out)];
    for (const { row, latent, entry } of entriesOf(rows)) {
      let sum = 0;
      for (let i = 0; i < columns; i++)
        sum +=
          (matrix[latent * columns + i] ?? Number.NaN) * (source[row * columns + i] ?? Number.NaN);
      target[entry] = sum;
    }
  },

  sparseOuterAdd(rows, coefficients, x, columns, out) {
    const [factors, source, target] = [f32(coefficients), f32(x), f32(out)];
    const sums = Float64Array.from(target);
    for (const { row, latent, entry } of entriesOf(rows)) {
      for (let i = 0; i < columns; i++)
        accumulate(
          sums,
          latent * columns + i,
          (factors[entry] ?? Number.NaN) * (source[row * columns + i] ?? Number.NaN),
        );
    }
    target.set(sums);
  },

  sparseScatterAdd(rows, coefficients, out) {
    const [factors, target] = [f32(coefficients), f32(out)];
    const sums = Float64Array.from(target);
    for (const { latent, entry } of entriesOf(rows))
      accumulate(sums, latent, factors[entry] ?? Number.NaN);
    target.set(sums);
  },

  sparseCountFiring(rows, out) {
    const [values, target] = [f32(rows.values), i32(out)];
    for (const { latent, entry } of entriesOf(rows))
      if ((values[entry] ?? 0) > 0) target[latent] = (target[latent] ?? 0) + 1;
  },

  sparseRowL0(rows, out) {
    const [values, target] = [f32(rows.values), f32(out)];
    target.fill(0);
    for (const { row, entry } of entriesOf(rows))
      if ((values[entry] ?? 0) > 0) target[row] = (target[row] ?? 0) + 1;
  },

  sparseToDense(rows, out) {
    const [values, target] = [f32(rows.values), f32(out)];
    target.fill(0);
    for (const { row, latent, entry } of entriesOf(rows))
      target[row * rows.width + latent] = values[entry] ?? Number.NaN;
  },

  sparseGather(rows, dense, out) {
    const [source, target] = [f32(dense), f32(out)];
    for (const { row, latent, entry } of entriesOf(rows))
      target[entry] = source[row * rows.width + latent] ?? Number.NaN;
  },

  sparseSmallest(rows, out) {
    const values = f32(rows.values);
    let smallest = Number.POSITIVE_INFINITY;
    for (const { entry } of entriesOf(rows)) {
      const value = values[entry] ?? 0;
      if (value > 0 && value < smallest) smallest = value;
    }
    f32(out)[0] = smallest;
  },

  clipRowNorms(x, rows, columns, maximum) {
    const values = f32(x);
    for (let row = 0; row < rows; row++) {
      const own = values.subarray(row * columns, (row + 1) * columns);
      let square = 0;
      for (const value of own) square += value * value;
      const norm = Math.sqrt(square);
      if (norm > maximum)
        for (const [index, value] of own.entries()) own[index] = value * (maximum / norm);
    }
  },
};

/** Where an entry stands: its row, its latent, and its place in the `[rows, capacity]` arrays. */
export interface Entry {
  readonly row: number;
  readonly latent: number;
  readonly entry: number;
}

/** All entries in order; of a row that overflowed, the ones that it had room for. */
export function* entriesOf(rows: SparseRowsSlices): Generator<Entry> {
  const [counts, indices] = [i32(rows.counts), i32(rows.indices)];
  for (let row = 0; row < rows.rows; row++) {
    for (let place = 0; place < Math.min(counts[row] ?? 0, rows.capacity); place++) {
      const entry = row * rows.capacity + place;
      yield { row, latent: indices[entry] ?? 0, entry };
    }
  }
}

/** Whether the threshold's pseudo-gradient sees this pre-activation: K((pre - theta) / eps) = 1. In f32, as devices compute. */
export function insideWindow(pre: number, threshold: number, bandwidth: number): boolean {
  return Math.abs(Math.fround(pre - threshold)) < Math.fround(bandwidth / 2);
}

function accumulate(sums: Float64Array, index: number, value: number): void {
  sums[index] = (sums[index] ?? 0) + value;
}
