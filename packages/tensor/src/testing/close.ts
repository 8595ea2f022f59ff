import { ConfigError } from "@latentkit/core";

/** Numbers that {@link compareClose} can look at. */
export type Numbers = Float32Array | Float64Array | Int32Array | readonly number[];

/** An element is close when `|actual - expected| <= atol + rtol * |expected|`. */
export interface Tolerance {
  readonly rtol: number;
  readonly atol: number;
}

/** What {@link compareClose} found. */
export interface Comparison {
  readonly close: boolean;
  /** The worst element, for people. */
  readonly message: string;
}

/**
 * Compares lengths, then element by element. NaN equals only NaN; infinities equal only themselves; -0 equals 0.
 * Throws {@link ConfigError} for tolerances that are not given or negative.
 */
export function compareClose(actual: Numbers, expected: Numbers, tolerance: Tolerance): Comparison {
  const { rtol, atol } = tolerance;
  if (!(rtol >= 0 && atol >= 0 && Number.isFinite(rtol) && Number.isFinite(atol))) {
    throw new ConfigError({
      code: "VALUE_RANGE",
      message: `toBeClose got rtol ${rtol} and atol ${atol}, expected finite numbers of at least 0`,
      fix: "give both tolerances, derived from the dtype and the length of the sums",
    });
  }
  if (actual.length !== expected.length) {
    return {
      close: false,
      message: `lengths differ: got ${actual.length} elements, expected ${expected.length}`,
    };
  }
  let worst = 0;
  let worstExcess = Number.NEGATIVE_INFINITY;
  let misses = 0;
  for (let index = 0; index < actual.length; index++) {
    const excess = excessOf(actual[index] ?? Number.NaN, expected[index] ?? Number.NaN, tolerance);
    if (excess > 0) misses++;
    if (excess > worstExcess) [worst, worstExcess] = [index, excess];
  }
  if (actual.length === 0) return { close: true, message: "both are empty" };
  const [got, wanted] = [actual[worst] ?? Number.NaN, expected[worst] ?? Number.NaN];
  const figures = `got ${got}, expected ${wanted}, difference ${Math.abs(got - wanted)}, ${ulpDistance(got, wanted)} ulp (f32)`;
  return {
    close: misses === 0,
    message: `${misses} of ${actual.length} elements differ (rtol ${rtol}, atol ${atol}); worst at index ${worst}: ${figures}`,
  };
}

/** How far beyond its tolerance an element is; at most 0 when close, infinity when one of the two is not finite. */
function excessOf(actual: number, expected: number, { rtol, atol }: Tolerance): number {
  if (Object.is(actual, expected) || actual === expected) return Number.NEGATIVE_INFINITY;
  if (!Number.isFinite(actual) || !Number.isFinite(expected)) return Number.POSITIVE_INFINITY;
  return Math.abs(actual - expected) - (atol + rtol * Math.abs(expected));
}

/** Number of f32 values from one to the other; NaN if either is. */
export function ulpDistance(a: number, b: number): number {
  return Number.isNaN(a) || Number.isNaN(b) ? Number.NaN : Math.abs(ordinal(a) - ordinal(b));
}

const float = new Float32Array(1);
const bits = new Int32Array(float.buffer);

/** Integers in the order of the f32 values. */
function ordinal(value: number): number {
  float[0] = value;
  const pattern = bits[0] ?? 0;
  return pattern < 0 ? -(pattern & 0x7fffffff) : pattern;
}
