import { DeviceError } from "@latentkit/core";
import { instantiateVectors, type VectorKernels, type VectorMemory } from "./wasm/kernels.ts";

const pageBytes = 65_536;
/** A memory that grew beyond this is let go after use. */
const keptBytes = 64 * 1024 * 1024;

/** Room for one decomposition in the kernels' memory. */
export interface Workspace {
  readonly kernels: VectorKernels;
  /** Zeros. */
  floats(length: number): Float64Array<ArrayBuffer>;
  integers(length: number): Int32Array<ArrayBuffer>;
}

let kept: { memory: VectorMemory; kernels: VectorKernels } | null = null;

/**
 * Runs `use` with room for `bytes`; arrays are good until it returns. Decompositions run to their end without waiting, so that
 * one memory serves all of them; one that runs inside another takes a memory of its own.
 *
 * Throws `DeviceError` `LINALG_OUT_OF_MEMORY`.
 */
export function withWorkspace<T>(bytes: number, use: (space: Workspace) => T): T {
  const own = kept ?? instantiateVectors();
  kept = null;
  const { memory, kernels } = own;
  const missing = bytes + pageBytes - memory.buffer.byteLength;
  try {
    if (missing > 0) memory.grow(Math.ceil(missing / pageBytes));
  } catch (cause) {
    throw new DeviceError({
      code: "LINALG_OUT_OF_MEMORY",
      message: `a decomposition needs ${bytes} bytes, which this engine does not give`,
      fix: "decompose a smaller matrix, or use randomizedSvd for the leading directions",
      cause,
    });
  }
  let next = pageBytes; // the first page belongs to the module
  const take = (length: number): number => {
    const at = next;
    next += Math.ceil(length / 16) * 16;
    return at;
  };
  const { buffer } = memory;
  try {
    return use({
      kernels,
      floats: (length) => new Float64Array(buffer, take(length * 8), length).fill(0),
      integers: (length) => new Int32Array(buffer, take(length * 4), length).fill(0),
    });
  } finally {
    if (buffer.byteLength <= keptBytes) kept = own;
  }
}

/** Byte address of an element of an array in the workspace. */
export function addressOf(array: Float64Array | Int32Array, index = 0): number {
  return array.byteOffset + index * array.BYTES_PER_ELEMENT;
}
