import type { Device } from "@latentkit/tensor";
import { type LongCallOptions, throwIfAborted, yieldToEventLoop } from "@latentkit/core";
import { matmul } from "@latentkit/tensor";
import { extremeTokens } from "./alphabet.ts";
import { scaleColumns } from "./null-space.ts";
import type { Rows } from "./vectors.ts";

/** A token that a direction pushes. */
export interface TokenScore {
  readonly id: number;
  /** Standard deviations from the mean over the vocabulary, so that latents compare whatever their decoder's length. */
  readonly score: number;
}

/** Both ends of a direction's logit contributions. */
export interface LogitLens {
  readonly promoted: readonly TokenScore[];
  readonly suppressed: readonly TokenScore[];
}

/** Options of {@link eachLogitContribution}. */
export interface LogitContributionOptions extends LongCallOptions {
  readonly device: Device;
  /** Directions in residual space, for example decoder rows. */
  readonly directions: Rows;
  /** `[vocabulary, d]`, raw. */
  readonly unembedding: Rows;
  /** Weight of the final norm, `[d]`. */
  readonly gain: Float32Array;
  /** Receives each direction's contribution to every logit, before the norm's scale; valid during the call only. */
  readonly visit: (index: number, logits: Float32Array) => void;
}

/**
 * Logit contributions w diag(gain) W_U of many directions, a block at a time: the direct path to the output, which skips the layers
 * in between. At early sites it says little about what a latent does.
 */
export async function eachLogitContribution(options: LogitContributionOptions): Promise<void> {
  const { device, directions, unembedding, gain, visit } = options;
  const [d, vocabulary] = [unembedding.width, unembedding.count];
  const block = Math.max(1, Math.floor(4_000_000 / vocabulary));
  using heads = device.tensor(unembedding.data, [vocabulary, d]);
  for (let start = 0; start < directions.count; start += block) {
    throwIfAborted(options.signal);
    const end = Math.min(directions.count, start + block);
    using some = device.tensor(scaleColumns(directions.data.subarray(start * d, end * d), gain), [
      end - start,
      d,
    ]);
    using product = matmul(some, heads, { transposeB: true });
    const values = await product.floats();
    for (let index = start; index < end; index++)
      visit(index, values.subarray((index - start) * vocabulary, (index - start + 1) * vocabulary));
    options.onProgress?.({
      stage: "logit lens",
      done: end,
      total: directions.count,
      unit: "latents",
    });
    await yieldToEventLoop();
  }
}

/** The tokens that one direction promotes and suppresses most. */
export function logitLens(
  logits: Float32Array,
  count: number,
  excluded: ReadonlySet<number> = new Set(),
): LogitLens {
  let [sum, squares] = [0, 0];
  for (const value of logits) {
    sum += value;
    squares += value * value;
  }
  const mean = sum / logits.length;
  const deviation = Math.sqrt(Math.max(0, squares / logits.length - mean * mean));
  const scored = (side: "promoted" | "suppressed"): TokenScore[] =>
    extremeTokens(logits, count, side, excluded).map((id) => ({
      id,
      score: deviation === 0 ? 0 : ((logits[id] ?? 0) - mean) / deviation,
    }));
  return { promoted: scored("promoted"), suppressed: scored("suppressed") };
}
