import { Random } from "@latentkit/core";
import type { LatentExamples, LatentWindow } from "../gather/example-collector.ts";

/** Windows whose strongest activation lies between two strengths. */
export interface QuantileGroup {
  readonly low: number;
  readonly high: number;
  /** Share of unmasked tokens whose activation lies there, from the histogram's bins; the lowest group counts silent tokens too. */
  readonly share: number;
  readonly windows: readonly LatentWindow[];
}

/**
 * Windows by strength: the range from 0 to the maximum in equal parts, strongest first, at most `size` windows drawn from each, of
 * those that were sampled. The strongest windows flatter a latent; these show what it does otherwise.
 *
 * @param tokens unmasked tokens of the text
 */
export function quantileGroups(
  examples: LatentExamples,
  tokens: number,
  options: { readonly groups: number; readonly size: number; readonly seed: number },
): QuantileGroup[] {
  const { groups, size, seed } = options;
  const { maximum, histogram, sample, firedTokens } = examples;
  if (!(maximum > 0)) return [];
  const random = new Random(seed, examples.latent);
  return Array.from({ length: groups }, (_, index) => {
    const part = groups - 1 - index;
    const [low, high] = [(part * maximum) / groups, ((part + 1) * maximum) / groups];
    const inside = sample.filter(
      (window) => window.maximum > low && (window.maximum <= high || part === groups - 1),
    );
    const order = random.permutation(inside.length);
    const windows = [...order.subarray(0, size)]
      .toSorted((a, b) => a - b)
      .flatMap((at) => inside[at] ?? []);
    let fired = 0;
    for (const [bin, middle] of histogram.values.entries())
      if (middle > low && (middle <= high || part === groups - 1))
        fired += histogram.heights[bin] ?? 0;
    const silent = part === 0 ? tokens - firedTokens : 0;
    return { low, high, share: (fired + silent) / Math.max(1, tokens), windows };
  });
}
