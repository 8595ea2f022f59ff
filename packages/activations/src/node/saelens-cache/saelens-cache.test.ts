// Caches that SAELens wrote are read, and ours are those that SAELens was shown; see oracles/circuits/saelens_cache.py.
import { LatentkitError } from "@latentkit/core";
import { bytesSource, openSafetensors } from "@latentkit/loaders";
import fc from "fast-check";
import { cp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "vitest";
import { contextRanges } from "../../store.ts";
import { exampleContexts, exampleSource } from "../__fixtures__/cache-example.ts";
import { fakeHarvest } from "../__fixtures__/fake-harvest.ts";
import { contents, testFolders } from "../__fixtures__/folders.ts";
import { harvest } from "../harvest.ts";
import { openActivations } from "../open-activations.ts";
import { openArrowStream } from "./arrow-stream.ts";
import { type FlatFields, type FlatValue, flatBuffer } from "./flat-builder.ts";
import { FlatTable } from "./flat-table.ts";
import { openSaeLensCache, type SaeLensCache } from "./open-cache.ts";
import { writeSaeLensCache } from "./write-cache.ts";

const folders = testFolders();
afterAll(() => folders.remove());

const fixture = (name: string) =>
  fileURLToPath(new URL(`../__fixtures__/${name}`, import.meta.url));
const hookName = "blocks.0.hook_resid_post";

/** All rows of a cache, and how many each batch had. */
async function readAll(cache: SaeLensCache) {
  const activations: number[] = [];
  const tokens: number[] = [];
  const batches: number[] = [];
  for await (const rows of cache.rows()) {
    activations.push(...rows.activations);
    tokens.push(...(rows.tokens ?? []));
    batches.push(rows.contexts);
  }
  return { activations, tokens, batches };
}

async function openGolden(path: string) {
  const bytes = await readFile(path);
  return openSafetensors(bytesSource(Uint8Array.from(bytes), path));
}

describe("openSaeLensCache", () => {
  it("reads what CacheActivationsRunner wrote, bit for bit", async () => {
    const golden = await openGolden(fixture("saelens-cache/golden.safetensors"));
    const cache = await openSaeLensCache(fixture("saelens-cache/runner"));
    expect(cache).toMatchObject({
      hookName,
      contextSize: 6,
      dIn: 24,
      dtype: "float32",
      hasTokens: true,
    });
    const { activations, tokens, batches } = await readAll(cache);
    expect(batches).toEqual([2, 2, 2]);
    expect(activations).toEqual([...(await golden.readFloats("runner.activations"))]);
    expect(tokens).toEqual([...(await golden.readIntegers("runner.tokens"))]);
    expect(new Set(activations).size).toBeGreaterThan(500);
  });

  it("reads f16, and caches without token ids", async () => {
    const golden = await openGolden(fixture("saelens-cache/golden.safetensors"));
    const cache = await openSaeLensCache(fixture("saelens-cache/half"), { hookName });
    expect(cache).toMatchObject({ contextSize: 2, dtype: "float16", hasTokens: false });
    const { activations, tokens } = await readAll(cache);
    expect(activations).toEqual([...(await golden.readFloats("half.activations"))]);
    expect(tokens).toEqual([]);
  });

  it("tells of progress and stops on request", async () => {
    const cache = await openSaeLensCache(fixture("saelens-cache/runner"));
    const stop = new AbortController();
    const seen: number[] = [];
    const reading = (async () => {
      const onProgress = ({ done }: { readonly done: number }) => {
        seen.push(done);
        stop.abort();
      };
      for await (const _ of cache.rows({ signal: stop.signal, onProgress }));
    })();
    await expect(reading).rejects.toMatchObject({ code: "ABORTED" });
    expect(seen).toEqual([1]);
  });

  it("refuses other folders, sites, orders and shapes", async () => {
    const folder = await folders.make();
    await expect(openSaeLensCache(folder)).rejects.toMatchObject({ code: "CACHE_MISSING" });
    await cp(fixture("saelens-cache/runner"), folder, { recursive: true });
    await expect(openSaeLensCache(folder, { hookName: "blocks.1" })).rejects.toMatchObject({
      code: "CACHE_HOOK",
      message: expect.stringContaining(hookName),
    });
    const change = async (name: string, from: string, to: string) => {
      const text = await readFile(join(folder, name), "utf8");
      expect(text).toContain(from);
      await writeFile(join(folder, name), text.replace(from, to));
    };
    await change("dataset_info.json", "24", "12");
    await expect(readAll(await openSaeLensCache(folder))).rejects.toMatchObject({
      code: "CACHE_FORMAT",
    });
    await change("state.json", '"_split": null', '"_split": null, "_indices_files": [{}]');
    await expect(openSaeLensCache(folder)).rejects.toMatchObject({ code: "CACHE_FORMAT" });
    await change("state.json", "data-00000", "../data-00000");
    await expect(openSaeLensCache(folder)).rejects.toMatchObject({ code: "JSON_SCHEMA" });
  });

  it("says of a file that is cut anywhere, or has a changed byte, that it is no cache, or reads it", async () => {
    const name = fixture("saelens-cache-ours/cache/data-00001-of-00002.arrow");
    const bytes = Uint8Array.from(await readFile(name));
    const wanted = new Set([hookName, "token_ids"]);
    const read = async (given: Uint8Array<ArrayBuffer>) => {
      const stream = await openArrowStream(bytesSource(given, "given"));
      let rows = 0;
      for await (const batch of stream.batches(wanted)) {
        rows += batch.rows;
      }
      return rows;
    };
    expect(await read(bytes)).toBe(2);
    let refused = 0;
    for (let length = 0; length < bytes.length - 8; length += 7) {
      const error: unknown = await read(bytes.slice(0, length)).then(
        () => null,
        (thrown: unknown) => thrown,
      );
      // A stream may end after any whole message.
      if (error === null) continue;
      expect(LatentkitError.isInstance(error) && error.code).toMatch(/^(?:ARROW|SOURCE)_/u);
      refused += 1;
    }
    expect(refused).toBeGreaterThan(150);
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 0, max: bytes.length - 1 }),
        fc.integer({ min: 1, max: 255 }),
        async (at, flip) => {
          const changed = bytes.slice();
          changed[at] = (changed[at] ?? 0) ^ flip;
          const error: unknown = await read(changed).then(
            () => null,
            (thrown: unknown) => thrown,
          );
          if (error !== null)
            expect(LatentkitError.isInstance(error) && error.code).toMatch(/^(?:ARROW|SOURCE)_/u);
        },
      ),
      { numRuns: 300 },
    );
  });
});

describe("writeSaeLensCache", () => {
  it("writes the bytes that SAELens read", async () => {
    const folder = join(await folders.make(), "cache");
    const written = await writeSaeLensCache(exampleSource(), { folder });
    expect(written).toEqual({ files: 2, contexts: 5, dropped: 0 });
    expect(await contents(folder)).toEqual(await contents(fixture("saelens-cache-ours/cache")));
    const result: unknown = JSON.parse(
      await readFile(fixture("saelens-cache-ours/result.json"), "utf8"),
    );
    expect(result).toMatchObject({ rows: 5, files: 2, columns: [hookName, "token_ids"] });
    const { activations, tokens } = await readAll(await openSaeLensCache(folder));
    expect(activations).toEqual([...exampleContexts().activations]);
    expect(tokens).toEqual([...exampleContexts().tokens]);
  });

  it("writes the whole contexts of a folder of shards, of one split or both, and says how many were short", async () => {
    const shards = await folders.make();
    await harvest(fakeHarvest(shards));
    const store = await openActivations(shards);
    for (const split of [undefined, "held-out"] as const) {
      const expected: number[] = [];
      let [short, whole] = [0, 0];
      for (const index of store.shards(split)) {
        const shard = await store.readShard(index);
        for (const { start, end } of contextRanges(shard)) {
          if (end - start < 16) short += 1;
          else {
            whole += 1;
            expected.push(...shard.activations.subarray(start * store.dIn, end * store.dIn));
          }
        }
      }
      expect(short).toBeGreaterThan(0);
      const folder = join(await folders.make(), "cache");
      const progress: number[] = [];
      const onProgress = ({ done }: { readonly done: number }) => progress.push(done);
      const written = await writeSaeLensCache(store, { folder, split, onProgress });
      expect(written).toMatchObject({ contexts: whole, dropped: short });
      expect(progress).toHaveLength(written.files);
      expect((await readAll(await openSaeLensCache(folder))).activations).toEqual(expected);
      const again = join(await folders.make(), "cache");
      await writeSaeLensCache(store, { folder: again, split });
      expect(await contents(again)).toEqual(await contents(folder));
    }
  });

  it("gives back what it was given, rounded to f16 where that is asked for, at any size", async () => {
    const sizes = fc.record({
      contextSize: fc.integer({ min: 1, max: 9 }),
      dIn: fc.integer({ min: 1, max: 9 }),
      // More than a record batch has.
      contexts: fc.oneof(fc.integer({ min: 1, max: 6 }), fc.constant(1003)),
      dtype: fc.constantFrom("float16", "float32"),
    });
    await fc.assert(
      fc.asyncProperty(sizes, async ({ contextSize, dIn, contexts, dtype }) => {
        const tokens = Int32Array.from({ length: contexts * contextSize }, (_, index) => index * 7);
        // Eighths below 256 are exact in f16.
        const activations = Float32Array.from(
          { length: tokens.length * dIn },
          (_, index) => (index % 2048) / 8 - 100,
        );
        const folder = join(await folders.make(), "cache");
        const source = {
          hookName,
          contextSize,
          dIn,
          files: 1,
          pieces: () => [{ activations, tokens }],
        };
        await writeSaeLensCache(source, { folder, dtype });
        const cache = await openSaeLensCache(folder);
        const found = await readAll(cache);
        expect(cache.dtype).toBe(dtype);
        expect(found.batches).toEqual(contexts > 1000 ? [1000, 3] : [contexts]);
        expect(found.tokens).toEqual([...tokens]);
        expect(found.activations).toEqual([...activations]);
        await rm(folder, { recursive: true });
      }),
      { numRuns: 15 },
    );
  });

  it("refuses what does not fit, and leaves no cache behind when it is stopped", async () => {
    const full = await folders.make();
    await writeFile(join(full, "notes.txt"), "");
    await expect(writeSaeLensCache(exampleSource(), { folder: full })).rejects.toMatchObject({
      code: "CACHE_FOLDER",
    });
    const given = async (changes: object) =>
      writeSaeLensCache({ ...exampleSource(), ...changes }, { folder: await folders.make() });
    await expect(given({ contextSize: 3 })).rejects.toMatchObject({ code: "CACHE_SHAPE" });
    await expect(given({ dIn: 2 })).rejects.toMatchObject({ code: "CACHE_SHAPE" });
    await expect(given({ files: 3 })).rejects.toMatchObject({ code: "CACHE_SHAPE" });
    await expect(given({ files: 0 })).rejects.toMatchObject({ code: "CACHE_EMPTY" });
    const folder = await folders.make();
    const stop = new AbortController();
    const writing = writeSaeLensCache(exampleSource(), {
      folder,
      signal: stop.signal,
      onProgress: () => stop.abort(),
    });
    await expect(writing).rejects.toMatchObject({ code: "ABORTED" });
    expect(await readdir(folder)).toEqual(["data-00000-of-00002.arrow"]);
    await expect(openSaeLensCache(folder)).rejects.toMatchObject({ code: "CACHE_MISSING" });
  });
});

describe("FlatBuffers", () => {
  const scalar: fc.Arbitrary<FlatValue> = fc.oneof(
    fc.record({ kind: fc.constant("byte" as const), value: fc.nat(255) }),
    fc.record({
      kind: fc.constant("short" as const),
      value: fc.integer({ min: -32768, max: 32767 }),
    }),
    fc.record({ kind: fc.constant("int" as const), value: fc.integer() }),
    fc.record({ kind: fc.constant("long" as const), value: fc.maxSafeInteger() }),
    fc.record({
      kind: fc.constant("text" as const),
      value: fc.string({ unit: "grapheme", maxLength: 9 }),
    }),
    fc.record({
      kind: fc.constant("longs" as const),
      items: fc.array(fc.tuple(fc.maxSafeInteger(), fc.maxSafeInteger()), { maxLength: 4 }),
    }),
  );
  const fields = (depth: number): fc.Arbitrary<FlatFields> => {
    if (depth === 0) return fc.array(fc.option(scalar), { maxLength: 5 });
    const inner = fields(depth - 1);
    const nested = fc.oneof(
      scalar,
      fc.record({ kind: fc.constant("table" as const), fields: inner }),
      fc.record({ kind: fc.constant("tables" as const), items: fc.array(inner, { maxLength: 3 }) }),
    );
    return fc.array(fc.option(nested), { maxLength: 5 });
  };

  function expectFields(table: FlatTable, expected: FlatFields): void {
    for (const [field, value] of expected.entries()) {
      expect(table.has(field)).toBe(value !== null);
      if (value === null) continue;
      switch (value.kind) {
        case "byte":
        case "short":
        case "int":
        case "long":
        case "text":
          expect(table[value.kind](field)).toBe(value.value);
          break;
        case "longs":
          expect(table.longs(field, 2)).toEqual(value.items.map((item) => [...item]));
          break;
        case "table":
          expectFields(table.table(field)!, value.fields);
          break;
        case "tables": {
          const items = table.tables(field);
          expect(items).toHaveLength(value.items.length);
          for (const [index, item] of items.entries()) expectFields(item, value.items[index]!);
        }
      }
    }
    expect(table.has(expected.length)).toBe(false);
  }

  it("gives back any table", () => {
    fc.assert(
      fc.property(fields(2), (root) => {
        const bytes = flatBuffer(root);
        expect(bytes.length % 8).toBe(0);
        expectFields(FlatTable.root(bytes), root);
      }),
      { numRuns: 200 },
    );
  });
});
