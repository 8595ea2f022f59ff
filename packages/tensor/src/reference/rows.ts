// Functions of one row in f64.

function largest(values: Float64Array): number {
  return values.reduce((best, value) => Math.max(best, value), Number.NEGATIVE_INFINITY);
}

/** Softmax with the maximum subtracted. */
export function softmax(values: Float64Array): Float64Array {
  const offset = largest(values);
  const powers = values.map((value) => Math.exp(value - offset));
  const total = powers.reduce((sum, value) => sum + value, 0);
  return powers.map((value) => value / total);
}

/** Logarithm of the sum of exponentials. */
export function logSumExp(values: Float64Array): number {
  const offset = largest(values);
  return offset + Math.log(values.reduce((sum, value) => sum + Math.exp(value - offset), 0));
}
