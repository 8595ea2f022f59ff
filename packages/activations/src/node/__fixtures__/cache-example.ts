import { Random } from "@latentkit/core";
import type { CacheSource } from "../saelens-cache/write-cache.ts";

const [contextSize, dIn] = [4, 3];

/** Five contexts in two pieces, the same everywhere: the cache that SAELens was shown is of them. */
export function exampleContexts(): { readonly activations: Float32Array; readonly tokens: Int32Array } {
  const random = new Random(11);
  const tokens = Int32Array.from({ length: 5 * contextSize }, () => random.integer(1000));
  const activations = Float32Array.from({ length: tokens.length * dIn }, () => 4 * random.uniform() - 2);
  return { activations, tokens };
}

export function exampleSource(): CacheSource {
  const { activations, tokens } = exampleContexts();
  return {
    hookName: "blocks.0.hook_resid_post",
    contextSize,
    dIn,
    files: 2,
    pieces: () =>
      [
        [0, 3],
        [3, 5],
      ].map(([start = 0, end = 0]) => ({
        activations: activations.subarray(start * contextSize * dIn, end * contextSize * dIn),
        tokens: tokens.subarray(start * contextSize, end * contextSize),
      })),
  };
}
