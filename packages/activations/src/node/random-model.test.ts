// Harvest on a real LanguageModel: small random weights, reference backend.
import { byteTokenizer } from "@latentkit/loaders";
import { randomModel } from "@latentkit/models";
import { createReferenceBackend, Device } from "@latentkit/tensor";
import { registerMatchers } from "@latentkit/tensor/testing";
import { afterAll, describe, expect, it } from "vitest";
import { arrayBatches, shardBatches } from "../batches.ts";
import { heldOutRows } from "../held-out.ts";
import { computeMask, contextGrid } from "../mask.ts";
import { normStatistics, rowNorms } from "../norms.ts";
import { contextRanges, keptRows } from "../store.ts";
import { testFolders } from "./__fixtures__/folders.ts";
import { harvest } from "./harvest.ts";
import { openActivations } from "./open-activations.ts";

registerMatchers(expect);
const folders = testFolders();
afterAll(folders.remove);

const documents = Array.from({ length: 12 }, (_, index) => ({
  id: String(index),
  text: `Document ${index} ${"says this and that. ".repeat((index % 4) + 1)}`,
}));

describe.each([
  "blocks.1.hook_resid_post",
  "blocks.0.attn.hook_z",
  "blocks.0.mlp.hook_post",
  "logits",
])("harvest of %s", (site) => {
  it("stores what a run of each context alone gives, and leaves nothing on the device", async () => {
    const device = new Device(createReferenceBackend());
    const model = randomModel({ device, seed: 3, tokenizer: byteTokenizer() });
    const { liveBytes } = device.memory();
    const out = await folders.make();
    const manifest = await harvest({
      model,
      documents,
      site,
      out,
      packing: { contextSize: 16 },
      split: { heldOut: 0.3 },
      batchSize: 3,
      shardTokens: 200,
    });
    expect(device.memory().liveBytes).toBe(liveBytes);
    expect(manifest.dIn).toBe(model.site(site).width);
    expect(manifest.model).toEqual(model.identity());
    expect(manifest.backend.name).toBe(device.info.name);

    const store = await openActivations(out);
    let contexts = 0;
    for (const index of store.shards()) {
      const shard = await store.readShard(index);
      for (const { start, end } of contextRanges(shard)) {
        contexts += 1;
        if (contexts % 5 !== 1) continue;
        const run = model.run([shard.tokens.subarray(start, end)], {
          capture: [site],
          logits: "none",
        });
        const alone = await run.captured.get(site)?.floats();
        run.dispose();
        if (alone === undefined) expect.unreachable();
        // Rows do not depend on their batch: sums are in f64 and differ in nothing but the neighbours.
        expect(shard.activations.subarray(start * store.dIn, end * store.dIn)).toBeClose(alone, {
          rtol: 1e-6,
          atol: 1e-7,
        });
        const mask = computeMask({
          ...contextGrid([end - start], end - start),
          norms: rowNorms(alone, store.dIn),
          medianNorm: manifest.mask.medianNorm,
          policy: manifest.mask,
        });
        expect(mask).toEqual(shard.masks.slice(start, end));
      }
    }
    expect(contexts).toBe(manifest.counts.contexts);
    model.dispose();
    device.dispose();
  });
});

describe("from text to batches", () => {
  it("train and held-out rows are disjoint and cover every unmasked token", async () => {
    const device = new Device(createReferenceBackend());
    const model = randomModel({ device, seed: 4, tokenizer: byteTokenizer() });
    const out = await folders.make();
    const site = "blocks.0.hook_resid_post";
    await harvest({
      model,
      documents,
      site,
      out,
      packing: { contextSize: 32 },
      split: { heldOut: 0.3 },
      batchSize: 2,
      shardTokens: 64,
    });
    model.dispose();
    device.dispose();
    const store = await openActivations(out);
    const { splits, kept } = store.manifest.counts;
    const key = (rows: Float32Array): string[] =>
      Array.from({ length: rows.length / store.dIn }, (_, row) =>
        rows.subarray(row * store.dIn, (row + 1) * store.dIn).join(),
      );

    const batches = shardBatches(store, { seed: 1, bufferShards: 2 });
    const epoch = await batches.next(batches.uniqueTokens);
    const heldOut = await heldOutRows(store, Number.POSITIVE_INFINITY);
    expect([batches.uniqueTokens, heldOut.length / store.dIn]).toEqual([
      splits.train.kept,
      splits["held-out"].kept,
    ]);
    const whole: string[] = [];
    for (const index of store.shards()) {
      const shard = await store.readShard(index);
      whole.push(...key(keptRows(shard.activations, shard.masks, store.dIn)));
    }
    expect(whole).toHaveLength(kept);
    expect([...key(epoch), ...key(heldOut)].sort()).toEqual(whole.sort());
    // The same rows from memory: the same epoch, in another order.
    const again = await arrayBatches(epoch, store.dIn, 1).next(batches.uniqueTokens);
    expect(key(again).sort()).toEqual(key(epoch).sort());
    expect(normStatistics(again, store.dIn).median).toBe(normStatistics(epoch, store.dIn).median);
  });
});
