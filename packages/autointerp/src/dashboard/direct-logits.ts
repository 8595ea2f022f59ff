import { type LongCallOptions, throwIfAborted, yieldToEventLoop } from "@latentkit/core";
import type { LanguageModel } from "@latentkit/models";
import type { Sae } from "@latentkit/sae";
import { matmul } from "@latentkit/tensor";

/** Counts in equal bins. */
export interface Histogram {
  readonly heights: readonly number[];
  /** Middle of each bin. */
  readonly values: readonly number[];
}

/** What a latent's decoder row does to the logits on the direct path: `d_i diag(w) W_U`, before the final norm's scale. */
export interface DirectLogits {
  /** Largest first. */
  readonly positive: readonly { readonly token: number; readonly value: number }[];
  /** Smallest first. */
  readonly negative: readonly { readonly token: number; readonly value: number }[];
  /** Over the whole vocabulary. */
  readonly histogram: Histogram;
}

/** How {@link directLogits} goes about it. */
export interface DirectLogitsOptions extends LongCallOptions {
  /** Tokens at each end; 10 by default, as Neuronpedia shows. */
  readonly tokens?: number | undefined;
  /** Bins of the histogram; 50 by default. */
  readonly bins?: number | undefined;
}

/**
 * The direct effect of latents on logits, through the final norm's weight and the unembedding, as if nothing stood between: it says
 * little of early sites. Null for an SAE whose output is not as wide as the residual stream.
 */
export async function directLogits(
  model: LanguageModel,
  sae: Sae,
  latents: readonly number[],
  { tokens = 10, bins = 50, signal, onProgress }: DirectLogitsOptions = {},
): Promise<ReadonlyMap<number, DirectLogits> | null> {
  const { device } = model;
  const width = model.config.dModel;
  const { decoder } = await sae.weights();
  if (decoder.length !== sae.config.dSae * width) return null;
  const gain = await model.finalNormWeight().floats();
  const heads = model.unembedding();
  const vocabulary = heads.shape[0] ?? 0;
  const block = Math.max(1, Math.floor(4_000_000 / vocabulary));
  const found = new Map<number, DirectLogits>();
  for (let start = 0; start < latents.length; start += block) {
    throwIfAborted(signal);
    const some = latents.slice(start, start + block);
    const rows = new Float32Array(some.length * width);
    for (const [at, latent] of some.entries())
      for (let column = 0; column < width; column++)
        rows[at * width + column] = (decoder[latent * width + column] ?? 0) * (gain[column] ?? 0);
    using directions = device.tensor(rows, [some.length, width]);
    using product = matmul(directions, heads, { transposeB: true });
    const logits = await product.floats();
    for (const [at, latent] of some.entries()) {
      const own = logits.subarray(at * vocabulary, (at + 1) * vocabulary);
      found.set(latent, {
        positive: extremes(own, tokens, 1),
        negative: extremes(own, tokens, -1),
        histogram: histogramOf(own, bins),
      });
    }
    onProgress?.({
      stage: "direct logits",
      done: start + some.length,
      total: latents.length,
      unit: "latents",
    });
    await yieldToEventLoop();
  }
  return found;
}

/** The largest (sign 1) or smallest (sign -1) values; of equal ones the lower token. */
function extremes(
  values: Float32Array,
  count: number,
  sign: -1 | 1,
): { readonly token: number; readonly value: number }[] {
  const best: { token: number; value: number }[] = [];
  for (const [token, value] of values.entries()) {
    const last = best.at(-1);
    if (best.length === count && last !== undefined && sign * value <= sign * last.value) continue;
    let place = best.length;
    while (place > 0 && sign * (best[place - 1]?.value ?? 0) < sign * value) place -= 1;
    best.splice(place, 0, { token, value });
    if (best.length > count) best.pop();
  }
  return best;
}

/** Equal bins from the smallest value to the largest. */
export function histogramOf(values: ArrayLike<number>, bins: number): Histogram {
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (let index = 0; index < values.length; index++) {
    low = Math.min(low, values[index] ?? 0);
    high = Math.max(high, values[index] ?? 0);
  }
  if (values.length === 0) return { heights: [], values: [] };
  const width = (high - low) / bins;
  const heights = Array.from({ length: bins }, () => 0);
  for (let index = 0; index < values.length; index++) {
    const bin = width > 0 ? Math.floor(((values[index] ?? 0) - low) / width) : 0;
    const place = Math.min(bins - 1, bin);
    heights[place] = (heights[place] ?? 0) + 1;
  }
  return { heights, values: heights.map((_, bin) => low + (bin + 0.5) * width) };
}
