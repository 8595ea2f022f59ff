import type { Random } from "@latentkit/core";

/** Random unit rows `[features, dIn]`, in f64. */
export function randomDirections(features: number, dIn: number, random: Random): Float64Array {
  const rows = Float64Array.from({ length: features * dIn }, () => random.normal());
  normalise(rows, dIn);
  return rows;
}

/**
 * The same rows moved apart: 200 Adam steps of rate 0.01 on `sum_{i != j} (g_i . g_j)^2 + n sum_i (g_i . g_i - 1)^2`, then brought to unit
 * norm, as SAELens's feature dictionaries are by default. In place; time of the order of 400 features^2 dIn.
 */
export function orthogonalise(rows: Float64Array, dIn: number): void {
  const features = rows.length / dIn;
  const [first, second] = [new Float64Array(rows.length), new Float64Array(rows.length)];
  const gradient = new Float64Array(rows.length);
  for (let step = 1; step <= 200; step++) {
    gradient.fill(0);
    for (let i = 0; i < features; i++) {
      for (let j = 0; j < features; j++) {
        let product = 0;
        for (let c = 0; c < dIn; c++)
          product += (rows[i * dIn + c] ?? 0) * (rows[j * dIn + c] ?? 0);
        const weight = i === j ? 4 * features * (product - 1) : 4 * product;
        for (let c = 0; c < dIn; c++)
          gradient[i * dIn + c] = (gradient[i * dIn + c] ?? 0) + weight * (rows[j * dIn + c] ?? 0);
      }
    }
    for (const [at, slope] of gradient.entries()) {
      const mean = 0.9 * (first[at] ?? 0) + 0.1 * slope;
      const square = 0.999 * (second[at] ?? 0) + 0.001 * slope * slope;
      first[at] = mean;
      second[at] = square;
      const moved =
        (0.01 * mean) / (1 - 0.9 ** step) / (Math.sqrt(square / (1 - 0.999 ** step)) + 1e-8);
      rows[at] = (rows[at] ?? 0) - moved;
    }
  }
  normalise(rows, dIn);
}

function normalise(rows: Float64Array, dIn: number): void {
  for (let start = 0; start < rows.length; start += dIn) {
    const row = rows.subarray(start, start + dIn);
    const norm = Math.max(Math.hypot(...row), 1e-8);
    for (const [column, value] of row.entries()) row[column] = value / norm;
  }
}
