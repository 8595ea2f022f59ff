// Loops over contiguous parts of f64 arrays, where a call of the kernels is not worth it.

/** Sum of `x[xAt + i] * y[yAt + i]`. Four chains, added pairwise. */
export function dot(
  x: Float64Array,
  xAt: number,
  y: Float64Array,
  yAt: number,
  length: number,
): number {
  let [s0, s1, s2, s3] = [0, 0, 0, 0];
  let i = 0;
  for (; i + 4 <= length; i += 4) {
    s0 += (x[xAt + i] ?? 0) * (y[yAt + i] ?? 0);
    s1 += (x[xAt + i + 1] ?? 0) * (y[yAt + i + 1] ?? 0);
    s2 += (x[xAt + i + 2] ?? 0) * (y[yAt + i + 2] ?? 0);
    s3 += (x[xAt + i + 3] ?? 0) * (y[yAt + i + 3] ?? 0);
  }
  for (; i < length; i++) s0 += (x[xAt + i] ?? 0) * (y[yAt + i] ?? 0);
  return s0 + s2 + (s1 + s3);
}

/** `y[yAt + i] += factor * x[xAt + i]`. */
export function addScaled(
  y: Float64Array,
  yAt: number,
  x: Float64Array,
  xAt: number,
  factor: number,
  length: number,
): void {
  for (let i = 0; i < length; i++) y[yAt + i] = (y[yAt + i] ?? 0) + factor * (x[xAt + i] ?? 0);
}

/** `x[at + i] *= factor`. */
export function scale(x: Float64Array, at: number, factor: number, length: number): void {
  for (let i = 0; i < length; i++) x[at + i] = (x[at + i] ?? 0) * factor;
}

/** Place of the largest magnitude. */
export function largest(x: Float64Array, at: number, length: number): number {
  let best = 0;
  for (let i = 1; i < length; i++)
    if (Math.abs(x[at + i] ?? 0) > Math.abs(x[at + best] ?? 0)) best = i;
  return best;
}
