import type { Kernels, ReduceOperator } from "../backend.ts";
import { f32, i32 } from "./storage.ts";

type ReduceKernels = Pick<Kernels, "reduce" | "argmaxRows" | "topKRows">;

const reductions: Readonly<Record<ReduceOperator, (values: Float64Array) => number>> = {
  max: (values) => values.reduce((best, value) => Math.max(best, value), Number.NEGATIVE_INFINITY),
  mean: (values) => total(values) / values.length,
  sum: total,
  sumOfSquares: (values) => total(values.map((value) => value * value)),
};

export const reduceKernels: ReduceKernels = {
  reduce(operator, x, outer, axis, inner, out) {
    const compute = reductions[operator];
    const [source, target] = [f32(x), f32(out)];
    for (let i = 0; i < outer; i++) {
      for (let j = 0; j < inner; j++) {
        target[i * inner + j] = compute(
          Float64Array.from(
            { length: axis },
            (_, k) => source[(i * axis + k) * inner + j] ?? Number.NaN,
          ),
        );
      }
    }
  },

  argmaxRows(x, rows, columns, out) {
    const [source, target] = [f32(x), i32(out)];
    for (let row = 0; row < rows; row++)
      target[row] = largestFirst(source.subarray(row * columns, (row + 1) * columns))[0] ?? 0;
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
};

function total(values: Float64Array): number {
  return values.reduce((sum, value) => sum + value, 0);
}

/** Columns from the largest value to the smallest; of equals the lower column first, NaN as -infinity. */
export function largestFirst(row: Float32Array): Int32Array {
  const key = (column: number): number => {
    const value = row[column] ?? Number.NaN;
    return Number.isNaN(value) ? Number.NEGATIVE_INFINITY : value;
  };
  return Int32Array.from(row.keys()).sort((a, b) =>
    key(a) === key(b) ? a - b : key(a) > key(b) ? -1 : 1,
  );
}
