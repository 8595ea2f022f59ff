import { ShapeError } from "@latentkit/core";

/** Euclidean norm of each row of `activations [n, dIn]`, summed in f64. Not-a-number where the row is not finite. */
export function rowNorms(activations: Float32Array, dIn: number): Float64Array {
  const rows = rowCount(activations, dIn);
  const norms = new Float64Array(rows);
  for (let row = 0; row < rows; row++) {
    let sum = 0;
    for (let index = row * dIn; index < (row + 1) * dIn; index++) {
      const value = activations[index] ?? 0;
      sum += value * value;
    }
    norms[row] = Math.sqrt(sum);
  }
  return norms;
}

/** The median: the middle value, or the mean of the two middle ones. Not-a-number for no values. */
export function median(values: ArrayLike<number>): number {
  const sorted = Float64Array.from(values).sort();
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

/** How large activations are. */
export interface NormStatistics {
  readonly rows: number;
  /** Mean of the norms, which SAELens scales by. */
  readonly mean: number;
  readonly median: number;
  /** sqrt(mean of squared norms), the one scalar that Gemma Scope divides by (arXiv 2408.05147, 3.1). */
  readonly rootMeanSquare: number;
}

/**
 * Norms of rows `[n, dIn]`. Give unmasked rows only: a few attention sinks outweigh everything else.
 *
 * @throws ShapeError `SHAPE_ROWS` where the array is not whole rows, or none.
 */
export function normStatistics(activations: Float32Array, dIn: number): NormStatistics {
  const norms = rowNorms(activations, dIn);
  if (norms.length === 0) {
    throw new ShapeError({
      code: "SHAPE_ROWS",
      message: "norm statistics were asked of no rows",
      fix: "give at least one unmasked row",
    });
  }
  let sum = 0;
  let squares = 0;
  for (const norm of norms) {
    sum += norm;
    squares += norm * norm;
  }
  return {
    rows: norms.length,
    mean: sum / norms.length,
    median: median(norms),
    rootMeanSquare: Math.sqrt(squares / norms.length),
  };
}

/** Whole rows in an array of `[n, dIn]`; throws {@link ShapeError} where the length is not a multiple of `dIn`. */
export function rowCount(activations: Float32Array, dIn: number): number {
  if (Number.isSafeInteger(dIn) && dIn > 0 && activations.length % dIn === 0)
    return activations.length / dIn;
  throw new ShapeError({
    code: "SHAPE_ROWS",
    message: `${activations.length} numbers are not whole rows of width ${dIn}`,
    fix: "give an array [n, dIn] and its dIn",
  });
}
