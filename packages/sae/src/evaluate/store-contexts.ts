import { type ActivationStore, contextRanges } from "@latentkit/activations";
import type { SpliceContext } from "./context-batch.ts";

/**
 * Contexts of one split of a folder of shards, evenly spread over it, at most `limit`: what `spliceLoss` runs the model on.
 */
export async function storeContexts(
  store: ActivationStore,
  options: {
    readonly split?: "train" | "held-out" | undefined;
    readonly limit?: number | undefined;
    readonly signal?: AbortSignal | undefined;
  } = {},
): Promise<SpliceContext[]> {
  const { split = "held-out", limit = Number.POSITIVE_INFINITY, signal } = options;
  const available = store.manifest.counts.splits[split].contexts;
  const wanted = Math.min(limit, available);
  const contexts: SpliceContext[] = [];
  let before = 0;
  for (const index of store.shards(split)) {
    const shard = await store.readTokens(index, { signal });
    const ranges = contextRanges(shard);
    while (contexts.length < wanted) {
      const range = ranges[Math.floor((contexts.length * available) / wanted) - before];
      if (range === undefined) break;
      contexts.push({
        tokens: shard.tokens.slice(range.start, range.end),
        length: range.end - range.start,
        document: range.document,
      });
    }
    before += ranges.length;
  }
  return contexts;
}
