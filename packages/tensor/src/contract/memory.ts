import type { Slice } from "./storage.ts";

/** Filling, converting and moving elements. All floats are f32 unless a line says otherwise; index slices are i32. */
export interface MemoryKernels {
  fill(out: Slice, value: number): void;
  /**
   * Copies between slices of one dtype, widens f16 and bf16 to f32, narrows f32 to them (nearest, ties to even), and converts
   * between f32 and i32 or u8: to integers towards zero, to the nearest one that the dtype has where there is none, NaN to 0.
   */
  convert(x: Slice, out: Slice): void;
  /**
   * Gathers by strides: `out` is contiguous over `shape`, element (i, j, ..) is read at `start + sum(index * strides)`, in
   * elements. Strides may be 0 (an axis repeats) and negative (an axis is walked backwards). Any dtype, the same for both.
   */
  stridedRead(
    x: Slice,
    shape: readonly number[],
    strides: readonly number[],
    out: Slice,
    start?: number,
  ): void;
  /** The reverse of {@link Kernels.stridedRead}, from 0 on: `x` is contiguous over `shape`, and written into `out` by strides, none of them 0. */
  stridedWrite(x: Slice, shape: readonly number[], strides: readonly number[], out: Slice): void;
}
