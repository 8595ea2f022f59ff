// Batches of rows of different lengths against each row alone.
import { fc, test } from "@fast-check/vitest";
import { crossEntropy, type Tensor, valueAndGrad } from "@latentkit/tensor";
import { afterAll, afterEach, describe, expect, it } from "vitest";
import { deviation, read, referenceDevice } from "./__fixtures__/support.ts";
import { addVector } from "./edits.ts";
import type { Architecture } from "./config.ts";
import type { LanguageModel } from "./language-model.ts";
import { randomModel } from "./random-model.ts";

const device = referenceDevice();
const sizes = {
  layers: 2,
  dModel: 12,
  heads: 2,
  kvHeads: 1,
  dHead: 6,
  dMlp: 14,
  vocabulary: 30,
  contextSize: 16,
};
// Learned positions; parallel blocks and part rotation; windows; q/k norms by head; by width and norms after; caps and scaled
// embeddings with norms on both sides.
const models: Record<string, LanguageModel> = Object.fromEntries(
  (["llama", "gpt2", "gpt_neox", "mistral", "qwen3", "olmo2", "gemma2"] as const).map(
    (architecture: Architecture) => [
      architecture,
      randomModel({
        device,
        seed: 4,
        config: {
          architecture,
          ...sizes,
          ...(architecture === "gpt2" || architecture === "gpt_neox" || architecture === "olmo2"
            ? { kvHeads: 2 }
            : {}),
          ...(architecture === "mistral" || architecture === "gemma2" ? { slidingWindow: 3 } : {}),
          ...(architecture === "gpt_neox" ? { dRotary: 4 } : {}),
        },
      }),
    ],
  ),
);
const resting = device.memory().liveBytes;
afterEach(() => expect(device.memory().liveBytes).toBe(resting));
afterAll(() => {
  for (const model of Object.values(models)) model.dispose();
  expect(device.memory().liveBytes).toBe(0);
  device.dispose();
});

const rowOf = (length: number, seed: number) =>
  Array.from({ length }, (_, index) => (7 * index + 11 * seed + 3) % sizes.vocabulary);
const lengths = fc.array(fc.integer({ min: 1, max: 8 }), { minLength: 2, maxLength: 3 });
const startOf = (rows: readonly (readonly number[])[], row: number, side: "left" | "right") =>
  side === "right" ? 0 : Math.max(...rows.map(({ length }) => length)) - (rows[row]?.length ?? 0);

/** The part of a value `[batch, pos, ..]`, or `[batch, head, query, key]`, that belongs to a row's tokens. */
function partOf(
  values: Float32Array,
  shape: readonly number[],
  row: number,
  { start, length, square }: { start: number; length: number; square: boolean },
): Float32Array {
  const size = values.length / (shape[0] ?? 1);
  const own = values.subarray(row * size, (row + 1) * size);
  if (!square) {
    const width = size / (shape[1] ?? 1);
    return own.slice(start * width, (start + length) * width);
  }
  const [, heads = 0, queries = 0, keys = 0] = shape;
  const out: number[] = [];
  for (let head = 0; head < heads; head++)
    for (let query = start; query < start + length; query++)
      for (let key = start; key < start + length; key++)
        out.push(own[(head * queries + query) * keys + key] ?? 0);
  return Float32Array.from(out);
}

describe.each(Object.entries(models))("padded batches of %s", (_, model) => {
  const sites = model.sites().map((site) => site.name);
  const isSquare = (site: string) => site.endsWith("attn_scores") || site.endsWith("pattern");

  test.prop([lengths, fc.constantFrom("left" as const, "right" as const), fc.boolean()], {
    numRuns: 6,
  })("give each row what it gives alone, at every site", async (counts, padding, stepwise) => {
    const rows = counts.map((count, seed) => rowOf(count, seed));
    // Without scores and patterns the fused kernel runs.
    const capture = stepwise ? sites : sites.filter((site) => !isSquare(site));
    const together = await read(model, rows, { padding, capture });
    const last = await read(model, rows, { padding, logits: "last" });
    for (const [row, tokens] of rows.entries()) {
      const alone = await read(model, [tokens], { capture });
      const place = { start: startOf(rows, row, padding), length: tokens.length };
      for (const site of capture) {
        const square = isSquare(site);
        const found = partOf(together.at(site), together.shape(site), row, { ...place, square });
        expect(deviation(found, alone.at(site)), site).toBeLessThan(2e-5);
      }
      const { vocabulary } = model.config;
      const shape = [rows.length, Math.max(...counts), vocabulary];
      const logits = partOf(together.logits, shape, row, { ...place, square: false });
      expect(deviation(logits, alone.logits)).toBeLessThan(2e-5);
      expect(
        deviation(
          last.logits.subarray(row * vocabulary, (row + 1) * vocabulary),
          alone.logits.subarray((tokens.length - 1) * vocabulary),
        ),
      ).toBeLessThan(2e-5);
    }
  });

  test.prop([lengths, fc.integer({ min: 1, max: 3 }), fc.boolean()], { numRuns: 6 })(
    "decode with a cache that keeps the padding on the left",
    async (counts, step, stepwise) => {
      const more = 5;
      const rows = counts.map((count, seed) => rowOf(count + more, seed));
      using cache = model.createCache({ batch: rows.length, capacity: Math.max(...counts) + more });
      const first = rows.map((row, index) => row.slice(0, counts[index]));
      const { vocabulary } = model.config;
      await read(model, first, { cache, padding: "left" });
      expect(cache.starts).toEqual(counts.map((count) => Math.max(...counts) - count));
      const alone = await Promise.all(rows.map(async (row) => (await read(model, [row])).logits));
      const capture = stepwise ? ["blocks.1.attn.hook_pattern"] : [];
      // The last rows alone, in another order, to see that what is selected keeps its padding.
      const picked = rows.map((__, index) => rows.length - 1 - index);
      using selected = cache.select(picked);
      for (let done = 0; done < more; done += step) {
        const taken = Math.min(step, more - done);
        const tokens = picked.map((row) => {
          const from = (counts[row] ?? 0) + done;
          return (rows[row] ?? []).slice(from, from + taken);
        });
        const { logits } = await read(model, tokens, { cache: selected, capture });
        for (const [place, row] of picked.entries()) {
          const from = ((counts[row] ?? 0) + done) * vocabulary;
          const expected = (alone[row] ?? new Float32Array()).subarray(
            from,
            from + taken * vocabulary,
          );
          const found = logits.subarray(
            place * taken * vocabulary,
            (place + 1) * taken * vocabulary,
          );
          expect(deviation(found, expected)).toBeLessThan(2e-5);
        }
      }
    },
  );
});

describe("padding", () => {
  const model = models["llama"] as LanguageModel;
  const rows = [
    [1, 2, 3, 4, 5],
    [6, 7],
    [8, 9, 10],
  ];

  it.each(["left", "right"] as const)(
    "on the %s gives finite numbers at padding too",
    async (padding) => {
      const sites = model.sites().map((site) => site.name);
      const { at, logits } = await read(model, rows, { padding, capture: sites });
      for (const site of sites)
        if (!site.endsWith("attn_scores")) expect(at(site).every(Number.isFinite), site).toBe(true);
      expect(logits.every(Number.isFinite)).toBe(true);
    },
  );

  it.each(["left", "right"] as const)(
    "on the %s lets gradients through as alone",
    async (padding) => {
      const weights = model.trainableParameters();
      const lossOf = (batch: readonly number[][], targets: readonly number[]): Tensor =>
        device.scope(() => {
          const { logits } = model.run(batch, { padding, logits: "last" });
          if (logits === null) throw new Error("logits were asked for");
          const flat = logits.reshape([batch.length, sizes.vocabulary]);
          return crossEntropy(flat, device.tensor(Int32Array.from(targets), [batch.length]), {
            reduction: "sum",
          });
        });
      const gradientsOf = (loss: () => Tensor) =>
        device.scope(() => valueAndGrad<typeof weights, [], Tensor>(loss)(weights).gradients);
      const together = gradientsOf(() => lossOf(rows, [1, 2, 3]));
      const alone = rows.map((row, index) => gradientsOf(() => lossOf([row], [index + 1])));
      for (const [name, gradient] of Object.entries(together)) {
        const parts = await Promise.all(alone.map(async (one) => one[name]?.floats()));
        const expected = (await gradient.floats()).map((__, index) =>
          parts.reduce((total, part) => total + (part?.[index] ?? Number.NaN), 0),
        );
        expect(deviation(await gradient.floats(), expected), name).toBeLessThan(1e-4);
      }
      for (const gradients of [together, ...alone])
        for (const tensor of Object.values(gradients)) tensor.dispose();
    },
  );

  it("counts the positions of edits from each row's first token", async () => {
    const vector = new Float32Array(12).fill(2);
    const edits = [{ site: "hook_embed", edit: addVector(vector, { positions: [0, 2] }) }];
    const together = await read(model, rows, { padding: "left", edits, capture: ["hook_embed"] });
    for (const [row, tokens] of rows.entries()) {
      const alone = await read(model, [tokens], { edits, capture: ["hook_embed"] });
      const place = { start: startOf(rows, row, "left"), length: tokens.length, square: false };
      expect(partOf(together.at("hook_embed"), [3, 5, 12], row, place)).toEqual(
        alone.at("hook_embed"),
      );
    }
  });

  it("of rows of one length is none", async () => {
    const even = [
      [1, 2],
      [3, 4],
    ];
    const plain = await read(model, even);
    expect((await read(model, even, { padding: "left" })).logits).toEqual(plain.logits);
  });

  it("has to be asked for, and leaves no gaps in a cache", () => {
    const code = (expected: string) => expect.objectContaining({ code: expected });
    expect(() => model.run(rows)).toThrow(code("TOKENS_RAGGED"));
    expect(() => model.run([[1], []], { padding: "left" })).toThrow(code("TOKENS_EMPTY"));
    expect(() => model.run(rows, { padding: "left", promptLengths: [1] })).toThrow(
      code("RUN_ROWS"),
    );
    using cache = model.createCache({ batch: 3 });
    expect(() => model.run(rows, { padding: "right", cache })).toThrow(code("PADDING_CACHE"));
    model.run(rows, { padding: "left", cache, logits: "none" }).dispose();
    expect(() => model.run(rows, { padding: "left", cache })).toThrow(code("PADDING_CACHE"));
    expect(() => cache.truncate(2)).toThrow(code("CACHE_LENGTH"));
    cache.truncate(0);
    expect(cache.starts).toEqual([0, 0, 0]);
  });

  it("is no part of the context that a row has room for", async () => {
    using cache = model.createCache({ batch: 2, capacity: 26 });
    const long = rowOf(14, 1);
    model.run([long, [1, 2]], { padding: "left", cache, logits: "none" }).dispose();
    using rest = cache.select([1]);
    const tokens = rowOf(14, 2).slice(0, 12);
    const { logits } = await read(model, [tokens], { cache: rest, logits: "last" });
    const alone = await read(model, [[1, 2, ...tokens]], { logits: "last" });
    expect(deviation(logits, alone.logits)).toBeLessThan(2e-5);
    expect(() => model.run([[1, 2, 3]], { cache: rest })).toThrow(
      expect.objectContaining({ code: expect.stringMatching(/CACHE_FULL|CONTEXT_OVERFLOW/) }),
    );
  });
});
