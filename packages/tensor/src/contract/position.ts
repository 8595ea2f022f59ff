import type { Slice } from "./storage.ts";

/** Rotary embedding of `x [tokens, heads, dHead]`. */
export interface RopePlan {
  readonly tokens: number;
  readonly heads: number;
  readonly dHead: number;
  /** Leading features of a head that are rotated, even; the others are copied. */
  readonly dRotary: number;
  /** Rows of the tables. */
  readonly positions: number;
  /** Pairs are (2i, 2i + 1) as in GPT-J, else (i, i + dRotary/2) as Hugging Face's `rotate_half` has them. */
  readonly interleaved: boolean;
  /** Multiplies by the transposed rotations (the sines' sign is turned): what a gradient needs. */
  readonly transposed: boolean;
}

/** Positions of tokens. All floats are f32 unless a line says otherwise; index slices are i32. */
export interface PositionKernels {
  /**
   * Each pair (a, b) of rotated features becomes `(a cos - b sin, b cos + a sin)`. `cos` and `sin` are `[positions, dRotary/2]`;
   * `rows` i32 `[tokens]` picks each token's row, and one that the tables do not have gives NaN. `out` may be `x`.
   */
  rope(x: Slice, cos: Slice, sin: Slice, rows: Slice, plan: RopePlan, out: Slice): void;
}
