import { describe, expect, it } from "vitest";
import { memoryStore } from "./__fixtures__/memory-store.ts";
import { heldOutRows } from "./held-out.ts";
import { contextRanges, keptRows } from "./store.ts";

describe("heldOutRows", () => {
  const store = memoryStore([
    { split: "train", masks: [0, 0] },
    { split: "held-out", masks: [1, 0, 0, 3, 0] },
    { split: "held-out", masks: [1, 0, 0, 0] },
  ]);

  it("gives all unmasked held-out rows where the limit allows", async () => {
    expect([...(await heldOutRows(store, 100))]).toEqual([1, 1, 1, 2, 1, 4, 2, 1, 2, 2, 2, 3]);
  });

  it("spreads fewer rows over all shards", async () => {
    expect([...(await heldOutRows(store, 3))]).toEqual([1, 1, 1, 4, 2, 2]);
    expect([...(await heldOutRows(store, 1))]).toEqual([1, 1]);
  });

  it("says so where nothing was held out", async () => {
    await expect(
      heldOutRows(memoryStore([{ split: "train", masks: [0] }]), 5),
    ).rejects.toMatchObject({ code: "HELD_OUT_EMPTY" });
  });
});

describe("shard helpers", () => {
  it("find the contexts of a shard", () => {
    const contexts = Int32Array.of(4, 4, 7, 8, 8, 8);
    const documents = Int32Array.of(1, 1, 2, 2, 2, 2);
    expect(contextRanges({ contexts, documents })).toEqual([
      { context: 4, document: 1, start: 0, end: 2 },
      { context: 7, document: 2, start: 2, end: 3 },
      { context: 8, document: 2, start: 3, end: 6 },
    ]);
    expect(contextRanges({ contexts: new Int32Array(0), documents: new Int32Array(0) })).toEqual(
      [],
    );
  });

  it("keep unmasked rows", () => {
    expect([...keptRows(Float32Array.of(1, 2, 3, 4, 5, 6), Uint8Array.of(1, 0, 3), 2)]).toEqual([
      3, 4,
    ]);
  });
});
