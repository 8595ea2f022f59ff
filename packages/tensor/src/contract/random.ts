import type { RandomState } from "@latentkit/core";
import type { Slice } from "./storage.ts";

/**
 * Random numbers from the counter-based generator Philox4x32-10. Word p of a state is word p modulo 4 of the block whose key is
 * (seed, stream) and whose counter is floor(p / 4), as `Random` of `@latentkit/core` draws it; the first word that a kernel draws is
 * that at `position`. Below, w(i) are the words from there on, and u(i) = (w(i) >>> 8) / 2^24.
 *
 * Floats are f32; index slices are i32.
 */
export interface RandomKernels {
  /** `out[i] = w(i)`; out is i32. */
  randomBits(state: RandomState, out: Slice): void;
  /** `out[i] = low + (high - low) u(i)`: difference, product and sum each rounded to f32, so that all devices agree. */
  randomUniform(state: RandomState, low: number, high: number, out: Slice): void;
  /** `out[i] = mean + deviation sqrt(-2 ln(1 - u(2i))) cos(2 pi u(2i + 1))` (Box and Muller, 1958). */
  randomNormal(state: RandomState, mean: number, deviation: number, out: Slice): void;
  /** 0 .. out.length - 1 in ascending order of (w(2i), w(2i + 1), i); out is i32. */
  randomPermutation(state: RandomState, out: Slice): void;
  /**
   * For each row the first column whose running sum of softmax(logits) exceeds (2^21 w(2r) + (w(2r + 1) >>> 11)) / 2^53; -1 for a
   * row without a finite distribution. `out` is i32 `[rows]`.
   */
  categoricalRows(
    state: RandomState,
    logits: Slice,
    rows: number,
    columns: number,
    out: Slice,
  ): void;
  /** `out[i] = x[i] / (1 - rate)` where u(i) >= rate, else 0. */
  dropout(state: RandomState, x: Slice, rate: number, out: Slice): void;
  /** `out[i] = 1` where u(i) < probabilities[i], else 0. */
  bernoulli(state: RandomState, probabilities: Slice, out: Slice): void;
}
