import type { ReduceKernels, ReduceOperator } from "../backend.ts";
import { f32, type Floats, i32, u8 } from "./storage.ts";

const reductions: Readonly<Record<ReduceOperator, (values: Float64Array) => number>> = {
  logSumExp,
  max: (values) => values.reduce((best, value) => Math.max(best, value), Number.NEGATIVE_INFINITY),
  mean: (values) => total(values) / values.length,
  min: (values) => values.reduce((best, value) => Math.min(best, value), Number.POSITIVE_INFINITY),
  product: (values) => values.reduce((product, value) => product * value, 1),
  sum: total,
  sumOfMagnitudes: (values) => total(values.map(Math.abs)),
  sumOfSquares: (values) => total(values.map((value) => value * value)),
};

export const reduceKernels: ReduceKernels = {
  reduce(operator, x, outer, axis, inner, out) {
    const target = f32(out);
    forEachLane(f32(x), outer, axis, inner, (values, index) => {
      target[index] = reductions[operator](values);
    });
  },

  variance(x, outer, axis, inner, correction, out) {
    const target = f32(out);
    forEachLane(f32(x), outer, axis, inner, (values, index) => {
      const mean = total(values) / axis;
      const squares = total(values.map((value) => (value - mean) ** 2));
      target[index] = squares / Math.max(axis - correction, 0);
    });
  },

  productGradient(x, dOut, outer, axis, inner, dx) {
    const [gradient, target] = [f32(dOut), f32(dx)];
    forEachLane(f32(x), outer, axis, inner, (values, index) => {
      for (let k = 0; k < axis; k++) {
        const others = values.reduce(
          (product, value, j) => (j === k ? product : product * value),
          1,
        );
        target[(Math.floor(index / inner) * axis + k) * inner + (index % inner)] =
          (gradient[index] ?? Number.NaN) * others;
      }
    });
  },

  argReduce(operator, x, outer, axis, inner, out) {
    const target = i32(out);
    forEachLane(f32(x), outer, axis, inner, (values, index) => {
      target[index] = largestFirst(operator === "max" ? values : values.map((v) => -v))[0] ?? 0;
    });
  },

  reduceMask(operator, x, outer, axis, inner, out) {
    const target = u8(out);
    forEachLane(u8(x), outer, axis, inner, (values, index) => {
      target[index] = Number(operator === "any" ? values.some(Boolean) : values.every(Boolean));
    });
  },
};

/** Visits what is reduced to each element of the output, in the output's order. */
function forEachLane(
  x: Floats | Uint8Array,
  outer: number,
  axis: number,
  inner: number,
  visit: (values: Float64Array<ArrayBuffer>, index: number) => void,
): void {
  for (let i = 0; i < outer; i++) {
    for (let j = 0; j < inner; j++) {
      const at = (k: number): number => x[(i * axis + k) * inner + j] ?? Number.NaN;
      visit(
        Float64Array.from({ length: axis }, (_, k) => at(k)),
        i * inner + j,
      );
    }
  }
}

/** With the largest subtracted, unless that is infinite. */
function logSumExp(values: Float64Array): number {
  const largest = reductions.max(values);
  const offset = Math.abs(largest) === Number.POSITIVE_INFINITY ? 0 : largest;
  return offset + Math.log(total(values.map((value) => Math.exp(value - offset))));
}

function total(values: Float64Array): number {
  return values.reduce((sum, value) => sum + value, 0);
}

/** Columns from the largest value to the smallest; of equals the lower column first, NaN as -infinity. */
export function largestFirst(row: Floats): Int32Array {
  const key = (column: number): number => {
    const value = row[column] ?? Number.NaN;
    return Number.isNaN(value) ? Number.NEGATIVE_INFINITY : value;
  };
  return Int32Array.from(row.keys()).sort((a, b) =>
    key(a) === key(b) ? a - b : key(a) > key(b) ? -1 : 1,
  );
}
