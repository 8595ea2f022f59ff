import type { SortKernels } from "../backend.ts";
import { largestFirst } from "./reduce.ts";
import { f32, i32 } from "./storage.ts";

export const sortKernels: SortKernels = {
  sortRows(x, rows, columns, descending, values, indices) {
    const [source, valuesOut] = x.dtype === "i32" ? [i32(x), i32(values)] : [f32(x), f32(values)];
    const indicesOut = i32(indices);
    for (let row = 0; row < rows; row++) {
      const own = source.subarray(row * columns, (row + 1) * columns);
      const order = Int32Array.from(own.keys()).sort((a, b) => {
        const [left, right] = [own[a] ?? 0, own[b] ?? 0];
        const compared = descending ? compare(right, left) : compare(left, right);
        return compared === 0 ? a - b : compared;
      });
      for (const [rank, column] of order.entries()) {
        valuesOut[row * columns + rank] = own[column] ?? Number.NaN;
        indicesOut[row * columns + rank] = column;
      }
    }
  },

  topKRows(x, rows, columns, k, values, indices) {
    const [source, valuesOut, indicesOut] = [f32(x), f32(values), i32(indices)];
    for (let row = 0; row < rows; row++) {
      const own = source.subarray(row * columns, (row + 1) * columns);
      for (const [rank, column] of largestFirst(own).subarray(0, k).entries()) {
        valuesOut[row * k + rank] = own[column] ?? Number.NaN;
        indicesOut[row * k + rank] = column;
      }
    }
  },

  topKAll(x, k, values, indices) {
    sortKernels.topKRows(x, 1, x.length, k, values, indices);
  },

  cumsum(x, { outer, axis, inner, reverse, exclusive }, out) {
    const [source, target] = [f32(x), f32(out)];
    for (let o = 0; o < outer; o++) {
      for (let i = 0; i < inner; i++) {
        let sum = 0;
        for (let step = 0; step < axis; step++) {
          const at = (o * axis + (reverse ? axis - 1 - step : step)) * inner + i;
          const before = sum;
          sum += source[at] ?? Number.NaN;
          target[at] = exclusive ? before : sum;
        }
      }
    }
  },
};

/** Ascending, NaN last. */
function compare(a: number, b: number): number {
  if (Number.isNaN(a) || Number.isNaN(b)) return Number(Number.isNaN(a)) - Number(Number.isNaN(b));
  return a < b ? -1 : a > b ? 1 : 0;
}
