import type { NpyArrayToWrite } from "../npy.ts";

/** What numpy was shown of our writing: see oracles/npz. */
export function exampleArrays(): Record<string, NpyArrayToWrite> {
  return {
    W_enc: { shape: [2, 3], values: Float32Array.of(1, -2.5, 0.1, 3e38, -0, 1e-40) },
    half: { dtype: "f16", shape: [3], values: Float32Array.of(1 / 3, 65504, -1e-7) },
    scalar: { shape: [], values: Float32Array.of(2.5) },
    nothing: { shape: [0, 5], values: new Float32Array() },
    ünïcode: { shape: [1], values: Float32Array.of(1) },
  };
}
