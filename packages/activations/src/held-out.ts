import { MismatchError, throwIfAborted } from "@latentkit/core";
import type { LongCallOptions } from "@latentkit/core";
import { keptRows } from "./store.ts";
import type { ActivationStore } from "./store.ts";

/**
 * At most `limit` unmasked held-out rows `[n, dIn]`, evenly spread over all of them and always the same ones, so that a few
 * long documents at the start do not stand for the rest.
 *
 * @throws MismatchError `HELD_OUT_EMPTY` where the split holds no unmasked token.
 */
export async function heldOutRows(
  store: ActivationStore,
  limit: number,
  options: Pick<LongCallOptions, "signal"> = {},
): Promise<Float32Array<ArrayBuffer>> {
  const available = store.manifest.counts.splits["held-out"].kept;
  if (available === 0) {
    throw new MismatchError({
      code: "HELD_OUT_EMPTY",
      message: `none of ${store.manifest.documents.count} documents was held out with share ${store.manifest.split.heldOut}`,
      fix: "harvest more documents (a .jsonl file has one a line), a larger held-out share, or another split seed",
      where: store.name,
    });
  }
  const { dIn } = store;
  const wanted = Math.min(limit, available);
  const rows = new Float32Array(wanted * dIn);
  let taken = 0;
  let before = 0;
  for (const index of store.shards("held-out")) {
    throwIfAborted(options.signal);
    const shard = await store.readShard(index, options);
    const kept = keptRows(shard.activations, shard.masks, dIn);
    const count = kept.length / dIn;
    for (; taken < wanted; taken++) {
      const row = Math.floor((taken * available) / wanted) - before;
      if (row >= count) break;
      rows.set(kept.subarray(row * dIn, (row + 1) * dIn), taken * dIn);
    }
    before += count;
  }
  return rows;
}
