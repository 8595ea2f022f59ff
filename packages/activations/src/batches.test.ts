import { AbortedError, ConfigError, MismatchError, ShapeError } from "@latentkit/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { memoryStore } from "./__fixtures__/memory-store.ts";
import type { MemoryShard } from "./__fixtures__/memory-store.ts";
import { arrayBatches, shardBatches } from "./batches.ts";
import type { ActivationBatches, BatchesState } from "./batches.ts";

/** Rows as strings, so that sets of them compare. */
async function draw(
  batches: ActivationBatches,
  count: number,
  batchSize = count,
): Promise<string[]> {
  const rows: string[] = [];
  while (rows.length < count) {
    const batch = await batches.next(Math.min(batchSize, count - rows.length));
    for (let at = 0; at < batch.length; at += batches.dIn)
      rows.push(batch.subarray(at, at + batches.dIn).join());
  }
  return rows;
}

const masks = fc.array(fc.constantFrom(0, 0, 0, 1, 3), { minLength: 1, maxLength: 12 });
const shard: fc.Arbitrary<MemoryShard> = fc.record({
  split: fc.constantFrom("train", "train", "held-out"),
  masks,
});
const stores = fc
  .array(shard, { minLength: 1, maxLength: 7 })
  .filter((all) =>
    all.some(({ split, masks: reasons }) => split === "train" && reasons.includes(0)),
  );

describe("shardBatches", () => {
  it("holds as many shards as fit into bufferBytes, and at least four", () => {
    // Shards of two rows of two numbers: 16 bytes each.
    const store = memoryStore(
      Array.from({ length: 9 }, () => ({ split: "train", masks: [0, 0] }) as const),
    );
    const held = (bufferBytes: number): unknown =>
      shardBatches(store, { seed: 0, bufferBytes }).state();
    expect(held(100)).toMatchObject({ bufferShards: 6 });
    expect(held(1)).toMatchObject({ bufferShards: 4 });
  });

  it("serves every unmasked training row once an epoch, and nothing else", async () => {
    await fc.assert(
      fc.asyncProperty(
        stores,
        fc.nat(),
        fc.integer({ min: 1, max: 8 }),
        fc.integer({ min: 1, max: 9 }),
        async (shards, seed, bufferShards, batchSize) => {
          const batches = shardBatches(memoryStore(shards), { seed, bufferShards });
          const expected = shards.flatMap((each, index) =>
            each.split === "train"
              ? each.masks.flatMap((mask, row) => (mask === 0 ? [`${index},${row}`] : []))
              : [],
          );
          expect(batches.uniqueTokens).toBe(expected.length);
          for (let epoch = 0; epoch < 3; epoch++) {
            expect((await draw(batches, expected.length, batchSize)).sort()).toEqual(
              expected.sort(),
            );
          }
        },
      ),
    );
  });

  it("continues identically after a restore, into another object and after having gone on", async () => {
    await fc.assert(
      fc.asyncProperty(
        stores,
        fc.nat(),
        fc.integer({ min: 1, max: 4 }),
        fc.nat(60),
        async (shards, seed, bufferShards, before) => {
          const options = { seed, bufferShards };
          const batches = shardBatches(memoryStore(shards), options);
          if (before > 0) await draw(batches, before, 5);
          // As a checkpoint does: through JSON.
          const state: unknown = JSON.parse(JSON.stringify(batches.state()));
          const expected = await draw(batches, 40, 7);
          const other = shardBatches(memoryStore(shards), options);
          other.restore(state);
          expect(await draw(other, 40, 3)).toEqual(expected);
          batches.restore(state);
          expect(await draw(batches, 40)).toEqual(expected);
        },
      ),
    );
  });

  const four = Array.from({ length: 4 }, (): MemoryShard => ({
    split: "train",
    masks: new Array<number>(50).fill(0),
  }));

  it("mixes shards within a batch, and orders each epoch and seed differently", async () => {
    const batches = shardBatches(memoryStore(four), { seed: 1, bufferShards: 4 });
    const first = await draw(batches, 200);
    expect(new Set(first.slice(0, 20).map((row) => row.split(",")[0])).size).toBe(4);
    expect(await draw(batches, 200)).not.toEqual(first);
    expect(
      await draw(shardBatches(memoryStore(four), { seed: 2, bufferShards: 4 }), 200),
    ).not.toEqual(first);
    expect(await draw(shardBatches(memoryStore(four), { seed: 1, bufferShards: 4 }), 200)).toEqual(
      first,
    );
  });

  it("reads each shard once an epoch, in another order each, and holds bufferShards of them", async () => {
    const store = memoryStore(four);
    const batches = shardBatches(store, { seed: 5, bufferShards: 2 });
    await draw(batches, 100, 10);
    expect(store.reads).toHaveLength(2);
    await draw(batches, 700, 10);
    const orders = [0, 4, 8, 12].map((at) => store.reads.slice(at, at + 4));
    for (const order of orders) expect(order.toSorted((a, b) => a - b)).toEqual([0, 1, 2, 3]);
    expect(new Set(orders.map(String)).size).toBeGreaterThan(1);
  });

  it("does not move when a read fails", async () => {
    const store = memoryStore(four);
    const batches = shardBatches(store, { seed: 1, bufferShards: 1 });
    await draw(batches, 40);
    const state = batches.state();
    const reading = shardBatches(
      {
        ...store,
        readShard: () =>
          Promise.reject(new AbortedError({ code: "ABORTED", message: "stopped", fix: "again" })),
      },
      { seed: 1, bufferShards: 1 },
    );
    reading.restore(state);
    await expect(reading.next(20)).rejects.toThrow(AbortedError);
    expect(reading.state()).toEqual(state);
  });

  it("refuses a state of other data, and none", async () => {
    const batches = shardBatches(memoryStore(four), { seed: 1 });
    const state = batches.state() as BatchesState;
    for (const wrong of [
      { ...state, seed: 2 },
      { ...state, rows: 1 },
      { ...state, bufferShards: 3 },
      { ...state, pool: 9 },
      null,
      {},
    ]) {
      expect(() => {
        batches.restore(wrong);
      }).toThrow(MismatchError);
    }
    await expect(batches.next(0)).rejects.toThrow(ShapeError);
    expect(() => shardBatches(memoryStore(four), { seed: 1, bufferShards: 0 })).toThrow(
      ConfigError,
    );
    expect(() => shardBatches(memoryStore(four), { seed: 1, split: "held-out" })).toThrow(
      "no unmasked token",
    );
  });
});

describe("arrayBatches", () => {
  const data = Float32Array.from({ length: 30 }, (_, at) => at);

  it("is a permutation of the rows in each epoch, and resumes", async () => {
    const rows = Array.from({ length: 10 }, (_, row) => [3 * row, 3 * row + 1, 3 * row + 2].join());
    const batches = arrayBatches(data, 3, 9);
    const first = await draw(batches, 10, 4);
    expect(first).not.toEqual(rows);
    expect(first.toSorted()).toEqual(rows.toSorted());
    const state = batches.state();
    const second = await draw(batches, 25, 4);
    const other = arrayBatches(data, 3, 9);
    other.restore(state);
    expect(await draw(other, 25)).toEqual(second);
  });

  it("gives arrays that the caller may keep", async () => {
    const batches = arrayBatches(data, 3, 9);
    const batch = await batches.next(10);
    batch.fill(-1);
    expect((await draw(batches, 10)).join()).not.toContain("-1");
    expect(data[0]).toBe(0);
  });

  it("refuses what is not rows, and no rows", () => {
    expect(() => arrayBatches(data, 4, 0)).toThrow(ShapeError);
    expect(() => arrayBatches(new Float32Array(0), 4, 0)).toThrow(MismatchError);
  });
});
