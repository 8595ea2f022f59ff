import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fromBf16Bits, fromF16Bits, toBf16Bits, toF16Bits } from "@latentkit/core";
import { afterAll, describe, expect, it } from "vitest";
import { randomDocuments } from "../__fixtures__/documents.ts";
import { fakeActivation, fakeModel } from "../__fixtures__/fake-model.ts";
import { sinkWord, wordTokenizer } from "../__fixtures__/word-tokenizer.ts";
import { chatDocument } from "../document.ts";
import { manifestSchema } from "../manifest.ts";
import { maskReasons } from "../mask.ts";
import { packDocuments } from "../packing.ts";
import type { Context } from "../packing.ts";
import { splitOf } from "../split.ts";
import { contextRanges } from "../store.ts";
import { fakeHarvest } from "./__fixtures__/fake-harvest.ts";
import { contents, testFolders } from "./__fixtures__/folders.ts";
import { harvest } from "./harvest.ts";
import { openActivations } from "./open-activations.ts";

const folders = testFolders();
afterAll(folders.remove);

async function packAll(
  options: ReturnType<typeof fakeHarvest>,
  packing: Parameters<typeof packDocuments>[2],
): Promise<Context[]> {
  const contexts: Context[] = [];
  for await (const context of packDocuments(wordTokenizer(), options.documents, packing))
    contexts.push(context);
  return contexts;
}

describe("harvest", () => {
  it("stores every token of every context once, with what the model computed for it", async () => {
    const out = await folders.make();
    const options = fakeHarvest(out);
    const manifest = await harvest(options);
    const store = await openActivations(out);
    expect(store.manifest).toEqual(manifest);
    expect(options.model.live).toBe(0);

    const expected = await packAll(options, manifest.packing);
    const seen = new Set<number>();
    const documents = randomDocuments(60);
    for (const index of store.shards()) {
      const shard = await store.readShard(index);
      for (const { context, document, start, end } of contextRanges(shard)) {
        expect(seen.has(context)).toBe(false);
        seen.add(context);
        const want = expected[context];
        if (want === undefined) expect.unreachable();
        const tokens = [...shard.tokens.subarray(start, end)];
        expect(tokens).toEqual([...want.tokens.subarray(0, want.length)]);
        expect([...shard.starts.subarray(start, end)]).toEqual([
          ...want.starts.subarray(0, want.length),
        ]);
        expect([...shard.ends.subarray(start, end)]).toEqual([
          ...want.ends.subarray(0, want.length),
        ]);
        expect([...shard.positions.subarray(start, end)]).toEqual(
          tokens.map((_, position) => position),
        );
        expect(document).toBe(want.document);
        const text = documents[document];
        expect(text && splitOf(text, manifest.split)).toBe(shard.record.split);
        for (let row = start; row < end; row++) {
          const activation = shard.activations.subarray(row * store.dIn, (row + 1) * store.dIn);
          expect(activation).toEqual(fakeActivation(tokens, row - start, store.dIn));
          const isSink = text?.text.slice(shard.starts[row], shard.ends[row]).trim() === sinkWord;
          const reason =
            row === start
              ? maskReasons.firstPosition
              : isSink
                ? maskReasons.normOutlier
                : maskReasons.keep;
          expect(shard.masks[row]).toBe(reason);
        }
        expect(shard.turns.subarray(start, end).every((turn) => turn === -1)).toBe(true);
        expect(shard.roles.subarray(start, end).every((role) => role === 0)).toBe(true);
      }
    }
    expect(seen.size).toBe(expected.length);
    expect(manifest.counts.contexts).toBe(expected.length);
    expect(manifest.counts.masked.normOutlier).toBeGreaterThan(5);
    expect(manifest.counts.tokens).toBe(expected.reduce((sum, { length }) => sum + length, 0));
    expect(manifest.counts.masked.padding).toBe(expected.length * 16 - manifest.counts.tokens);
    expect(manifest.mask.medianNorm).toBeCloseTo(1, 6);
  });

  it("writes only what it promises: shards of whole batches, a document list, a manifest that parses", async () => {
    const out = await folders.make();
    const manifest = await harvest(fakeHarvest(out));
    const names = Object.keys(await contents(out));
    expect(names).toEqual(
      [...manifest.shards.map(({ file }) => file), "documents.jsonl", "manifest.json"].sort(),
    );
    expect(
      manifestSchema.parse(JSON.parse(await readFile(join(out, "manifest.json"), "utf8"))),
    ).toEqual(manifest);
    for (const split of ["train", "held-out"] as const) {
      const shards = manifest.shards.filter((shard) => shard.split === split);
      expect(shards.length).toBeGreaterThan(1);
      for (const shard of shards.slice(0, -1)) expect(shard.contexts).toBe(8);
    }
    const documents = await (await openActivations(out)).readDocuments();
    expect(documents.map(({ id }) => id)).toEqual(randomDocuments(60).map(({ id }) => id));
    expect(documents.reduce((sum, { contexts }) => sum + contexts, 0)).toBe(
      manifest.counts.contexts,
    );
    expect(
      documents.reduce((sum, { tokens }) => sum + tokens, 0) - manifest.documents.droppedTokens,
    ).toBe(manifest.counts.tokens);
  });

  it.each([
    ["f16", (value: number) => fromF16Bits(toF16Bits(value))],
    ["bf16", (value: number) => fromBf16Bits(toBf16Bits(value))],
  ] as const)("stores %s rounded to nearest, and the same masks as f32", async (dtype, round) => {
    const [whole, half] = [await folders.make(), await folders.make()];
    await harvest(fakeHarvest(whole));
    await harvest(fakeHarvest(half, { dtype }));
    const [exact, rounded] = [await openActivations(whole), await openActivations(half)];
    const [one, other] = [await exact.readShard(1), await rounded.readShard(1)];
    expect(other.activations).toEqual(one.activations.map(round));
    expect(other.masks).toEqual(one.masks);
  });

  it("refuses activations that f16 cannot hold, and those that are not finite", async () => {
    const large = fakeHarvest(await folders.make(), { dtype: "f16" });
    const scaled = (factor: number): typeof large.model => ({
      ...large.model,
      run(tokens, options) {
        const run = fakeModel().run(tokens, options);
        const scale = async (tensor: { floats(): Promise<Float32Array> }) =>
          (await tensor.floats()).map((value) => value * factor);
        return {
          captured: new Map(
            [...run.captured].map(([site, tensor]) => [site, { floats: () => scale(tensor) }]),
          ),
          dispose: () => {
            run.dispose();
          },
        };
      },
    });
    await expect(harvest({ ...large, model: scaled(1e4) })).rejects.toMatchObject({
      code: "ACTIVATION_OVERFLOW",
    });
    const infinite = {
      ...fakeHarvest(await folders.make()),
      model: scaled(Number.POSITIVE_INFINITY),
    };
    await expect(harvest(infinite)).rejects.toMatchObject({ code: "ACTIVATION_NOT_FINITE" });
  });

  it("keeps roles and turns of chats", async () => {
    const out = await folders.make();
    const documents = [
      { id: "plain", text: "some text that is not a chat" },
      chatDocument("chat", [
        { role: "user", content: "how many moons are there" },
        { role: "assistant", content: "two of them" },
      ]),
    ];
    const manifest = await harvest(fakeHarvest(out, { documents, split: { heldOut: 0 } }));
    const shard = await (await openActivations(out)).readShard(0);
    const rows = [...shard.tokens.keys()].filter((row) => shard.documents[row] === 1);
    const seen = rows.map((row) =>
      [manifest.roles[(shard.roles[row] ?? 0) - 1], shard.turns[row]].join(" "),
    );
    expect(new Set(seen)).toContain("user 0");
    expect(new Set(seen)).toContain("assistant 1");
    expect(
      [...shard.roles.keys()]
        .filter((row) => shard.documents[row] === 0)
        .every((row) => shard.roles[row] === 0),
    ).toBe(true);
  });

  it("puts BOS where asked, masked as position 0", async () => {
    const out = await folders.make();
    const packing = { contextSize: 16, minimumTokens: 4, prependBos: true };
    await harvest({ ...fakeHarvest(out, { packing }), model: fakeModel({ bos: 2 }) });
    const shard = await (await openActivations(out)).readTokens(0);
    for (const { start } of contextRanges(shard)) {
      expect([shard.tokens[start], shard.masks[start], shard.starts[start]]).toEqual([
        2,
        maskReasons.firstPosition,
        shard.ends[start],
      ]);
    }
  });

  it("stops before there are more tokens than asked for", async () => {
    const manifest = await harvest(fakeHarvest(await folders.make(), { maximumTokens: 300 }));
    expect(manifest.counts.tokens).toBeLessThanOrEqual(300);
    expect(manifest.counts.tokens).toBeGreaterThan(300 - 16);
    expect(manifest.documents.exhausted).toBe(false);
    expect(manifest.documents.count).toBeLessThan(60);
  });

  it("reports progress in tokens, with the rate", async () => {
    const events: { stage: string; done: number; total?: number | undefined }[] = [];
    const manifest = await harvest(
      fakeHarvest(await folders.make(), {
        onProgress: (event) => {
          events.push(event);
          if (event.stage === "harvest")
            expect(event.figures?.["tokensPerSecond"]).toBeGreaterThan(0);
        },
      }),
    );
    expect(events[0]).toMatchObject({ stage: "calibrate mask", done: 4, total: 10 });
    expect(events.at(-1)).toMatchObject({ stage: "harvest", done: manifest.counts.tokens });
  });

  it.each([
    ["an unknown axis order", { site: "blocks.0.attn.hook_pattern" }, "SITE_NOT_PER_TOKEN"],
    ["contexts that the model does not take", { packing: { contextSize: 65 } }, "CONTEXT_TOO_LONG"],
    ["BOS without one", { packing: { prependBos: true } }, "BOS_MISSING"],
    ["a batch of none", { batchSize: 0 }, "HARVEST_OPTION"],
    ["fewer tokens than a context", { maximumTokens: 3 }, "HARVEST_OPTION"],
    ["all held out", { split: { heldOut: 1 } }, "SPLIT_INVALID"],
    ["a shard beyond memory", { shardTokens: 2 ** 30 }, "SHARD_TOO_LARGE"],
    [
      "documents that are too short",
      { documents: [{ id: "a", text: "one two" }] },
      "TEXT_TOO_SHORT",
    ],
    ["no documents", { documents: [] }, "TEXT_TOO_SHORT"],
  ])("refuses %s", async (_, changes, code) => {
    const out = await folders.make();
    await expect(harvest(fakeHarvest(out, changes))).rejects.toMatchObject({ code });
    expect(await contents(out)).toEqual({});
  });

  it("refuses a model without a tokenizer, and a file as folder", async () => {
    const out = await folders.make();
    const options = fakeHarvest(out);
    await expect(
      harvest({ ...options, model: { ...options.model, tokenizer: null } }),
    ).rejects.toMatchObject({ code: "TOKENIZER_MISSING" });
    await writeFile(join(out, "file"), "");
    for (const path of ["file", "file/below"]) {
      await expect(harvest(fakeHarvest(join(out, path)))).rejects.toMatchObject({
        code: "OUT_NOT_FOLDER",
      });
    }
  });
});
