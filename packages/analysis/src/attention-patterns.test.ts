import { type LanguageModel, randomModel } from "@latentkit/models";
import type { Tensor } from "@latentkit/tensor";
import fc from "fast-check";
import { afterEach, describe, expect, it } from "vitest";
import {
  distance,
  openGolden,
  openModel,
  prompts,
  referenceDevice,
} from "./__fixtures__/support.ts";
import { attentionPatterns } from "./attention-patterns.ts";
import { headStatistics } from "./head-statistics.ts";
import { repeatedTokens } from "./repeated-tokens.ts";

const device = referenceDevice();

afterEach(() => expect(device.memory().liveBytes).toBe(0));

/** Tokens and positions. */
const size = 10;
const dHead = 2 * size;
const dModel = 3 * dHead;

/**
 * A GPT-2 whose stream holds one-hot positions (features 0 to 9), tokens (10 to 19) and, after the first layer, each previous token (20
 * to 29). Heads of the first layer: to the token before, which it copies; to earlier occurrences of the token and not to itself; to
 * the first token. Of the second: head 0 to tokens whose previous token is the query's.
 */
function plantedModel(): { readonly model: LanguageModel; [Symbol.dispose](): void } {
  const config = {
    architecture: "gpt2",
    layers: 2,
    dModel,
    heads: 3,
    kvHeads: 3,
    dHead,
    dMlp: 4,
    vocabulary: size,
    contextSize: size,
  } as const;
  const base = randomModel({ device, seed: 0, config });
  const weights = new Map<string, Tensor>();
  const put = (
    name: string,
    shape: readonly number[],
    entries: readonly (readonly [number, number, number])[],
  ) => {
    const data = new Float32Array(shape.reduce((product, one) => product * one, 1));
    for (const [row, column, value] of entries) data[row * (shape[1] ?? 1) + column] = value;
    weights.set(`transformer.${name}`, device.tensor(data, shape));
  };
  const each = Array.from({ length: size }, (_, index) => index);
  const [position, token, previous] = [0, size, 2 * size];
  const [query, key, value] = [0, dModel, 2 * dModel];
  const strong = 50;

  put(
    "wpe.weight",
    [size, dModel],
    each.map((i) => [i, position + i, 1]),
  );
  put(
    "wte.weight",
    [size, dModel],
    each.map((i) => [i, token + i, 1]),
  );
  put(
    "h.0.attn.c_attn.weight",
    [dModel, 3 * dModel],
    each.flatMap((i): [number, number, number][] => [
      [position + i, query + i, strong],
      ...(i + 1 < size ? ([[position + i, key + i + 1, 1]] as [number, number, number][]) : []),
      [token + i, value + i, 1],
      [token + i, query + dHead + i, strong],
      [token + i, key + dHead + i, 1],
      [position + i, query + dHead + size + i, -2 * strong],
      [position + i, key + dHead + size + i, 1],
      [position + i, query + 2 * dHead, strong],
      ...(i === 0 ? ([[position, key + 2 * dHead, 1]] as [number, number, number][]) : []),
    ]),
  );
  // The norm divides the value by the deviation of two ones among zeros.
  const deviation = (ones: number) =>
    Math.sqrt(ones / dModel - (ones / dModel) ** 2 + base.config.normEpsilon);
  put(
    "h.0.attn.c_proj.weight",
    [dModel, dModel],
    each.map((i) => [i, previous + i, deviation(2)]),
  );
  put(
    "h.1.attn.c_attn.weight",
    [dModel, 3 * dModel],
    each.flatMap((i): [number, number, number][] => [
      [token + i, query + i, strong],
      [previous + i, key + i, 1],
    ]),
  );
  put("h.1.attn.c_proj.weight", [dModel, dModel], []);
  for (const layer of [0, 1]) {
    // What LayerNorm subtracts is given back, so that the features are one-hot again.
    const ones = 2 + layer;
    const shift = ones / dModel / deviation(ones);
    put(
      `h.${layer}.ln_1.bias`,
      [dModel],
      Array.from({ length: dModel }, (_, i) => [i, 0, shift]),
    );
    put(`h.${layer}.mlp.c_proj.weight`, [4, dModel], []);
  }
  const model = base.withWeights(weights);
  return {
    model,
    [Symbol.dispose]() {
      model.dispose();
      base.dispose();
      for (const tensor of weights.values()) tensor.dispose();
    },
  };
}

describe("planted heads", () => {
  const tokens = repeatedTokens({ seed: 4, rows: 3, length: 4, vocabulary: size, first: 0 });

  it("score 1 in what they were made for, and have no entropy", async () => {
    using planted = plantedModel();
    const heads = await attentionPatterns(planted.model, tokens);
    expect(heads.map(({ layer, head }) => [layer, head])).toEqual([
      [0, 0],
      [0, 1],
      [0, 2],
      [1, 0],
      [1, 1],
      [1, 2],
    ]);
    const [before, duplicate, first, induction, idle] = heads.map(({ statistics }) => statistics);
    expect(before!.previousToken).toBeCloseTo(1, 5);
    expect(before!.entropy).toBeCloseTo(0, 4);
    expect(duplicate!.duplicateToken).toBeCloseTo(1, 5);
    expect(first!.firstToken).toBeCloseTo(1, 5);
    expect(first!.entropy).toBeCloseTo(0, 4);
    expect(induction!.induction).toBeCloseTo(1, 5);
    // Nothing else scores.
    for (const score of [
      before!.induction,
      before!.duplicateToken,
      duplicate!.induction,
      first!.duplicateToken,
      induction!.duplicateToken,
    ])
      expect(score).toBeLessThan(1e-5);
    // A head without weights sees all keys alike: query q has q + 1.
    const mean = (of: (keys: number) => number) =>
      Array.from({ length: 8 }, (_, query) => of(query + 2)).reduce((sum, x) => sum + x, 0) / 8;
    expect(idle!.entropy).toBeCloseTo(mean(Math.log), 5);
    expect(idle!.previousToken).toBeCloseTo(
      mean((keys) => 1 / keys),
      5,
    );
  });
});

it.each(["llama", "gpt2"])("has TransformerLens's patterns of %s, and its scores", async (name) => {
  using model = await openModel(name, device);
  const golden = await openGolden(name);
  const heads = await attentionPatterns(model, await golden.tokens("repeated"));
  const flat = heads.flatMap(({ patterns }) => [...patterns[0]!]);
  expect(distance(flat, await golden.floats("patterns"))).toBeLessThan(1e-5);
  for (const [score, key] of [
    ["previousToken", "previous"],
    ["duplicateToken", "duplicate"],
    ["induction", "induction"],
  ] as const) {
    const found = heads.map(({ statistics }) => statistics[score]);
    expect(distance(found, await golden.floats(key)), key).toBeLessThan(1e-5);
  }
});

it("gives the layers and heads that are asked for, row by row", async () => {
  using model = await openModel("llama", device);
  const all = await attentionPatterns(model, prompts);
  const some = await attentionPatterns(model, prompts, { layers: [1], heads: [3, 0] });
  expect(some.map(({ layer, head }) => [layer, head])).toEqual([
    [1, 3],
    [1, 0],
  ]);
  for (const { layer, head, patterns, statistics } of some) {
    // Not bit for bit: where the first layer's patterns are not asked for, another kernel attends there.
    const same = all.find((other) => other.layer === layer && other.head === head)!;
    for (const row of [0, 1])
      expect(distance(patterns[row]!, same.patterns[row]!)).toBeLessThan(1e-6);
    expect(distance(Object.values(statistics), Object.values(same.statistics))).toBeLessThan(1e-6);
  }
  const [alone] = await attentionPatterns(model, [prompts[1]!], { layers: [1], heads: [3] });
  expect(distance(some[0]!.patterns[1]!, alone!.patterns[0]!)).toBeLessThan(1e-6);
});

it("refuses heads and layers that there are not, and stops on request", async () => {
  using model = await openModel("llama", device);
  const patterns = (options: Parameters<typeof attentionPatterns>[2]) =>
    attentionPatterns(model, prompts, options);
  await expect(patterns({ heads: [4] })).rejects.toMatchObject({ code: "ANALYSIS_HEAD" });
  await expect(patterns({ layers: [2] })).rejects.toMatchObject({ code: "SITE_UNKNOWN" });
  const stop = new AbortController();
  const onProgress = () => stop.abort();
  const stopped = patterns({ signal: stop.signal, onProgress });
  await expect(stopped).rejects.toMatchObject({ code: "ABORTED" });
});

describe("headStatistics", () => {
  it("are means over the queries that there are, and NaN over none", () => {
    // Keys that a query does not see count for nothing.
    const pattern = Float32Array.of(1, 9, 9, 0.25, 0.75, 9, 0.5, 0.25, 0.25);
    const found = headStatistics([pattern], [[7, 8, 7]]);
    expect(found.previousToken).toBe((0.25 + 0.25) / 2);
    expect(found.firstToken).toBe((0.25 + 0.5) / 2);
    expect(found.duplicateToken).toBe(0.5);
    expect(found.induction).toBe(0.25);
    const entropies = [
      0.25 * Math.log(4) + 0.75 * Math.log(4 / 3),
      Math.log(2) / 2 + Math.log(4) / 2,
    ];
    expect(found.entropy).toBeCloseTo((entropies[0]! + entropies[1]!) / 2, 6);
    expect(headStatistics([pattern], [[7, 8, 9]]).duplicateToken).toBeNaN();
    expect(headStatistics([Float32Array.of(1)], [[7]]).entropy).toBeNaN();
    // The token just before is the same: what follows it is the query itself.
    expect(headStatistics([Float32Array.of(1, 0, 0.5, 0.5)], [[7, 7]]).induction).toBeNaN();
  });
});

describe("repeatedTokens", () => {
  it("are different tokens twice, after the first one", () => {
    const options = fc.record({
      seed: fc.nat(),
      rows: fc.integer({ min: 0, max: 3 }),
      length: fc.integer({ min: 1, max: 9 }),
      first: fc.option(fc.integer({ min: 0, max: 9 }), { nil: undefined }),
    });
    fc.assert(
      fc.property(options, (given) => {
        const rows = repeatedTokens({ ...given, vocabulary: 10 });
        expect(rows).toHaveLength(given.rows);
        expect(repeatedTokens({ ...given, vocabulary: 10 })).toEqual(rows);
        for (const row of rows) {
          const rest = given.first === undefined ? row : row.subarray(1);
          if (given.first !== undefined) expect(row[0]).toBe(given.first);
          expect(rest.subarray(0, given.length)).toEqual(rest.subarray(given.length));
          expect(new Set(row).size).toBe(row.length - given.length);
          expect(row.every((token) => token >= 0 && token < 10)).toBe(true);
        }
      }),
    );
  });

  it("need a vocabulary", () => {
    for (const length of [0, 10, 1.5])
      expect(() => repeatedTokens({ seed: 1, length, vocabulary: 10, first: 0 })).toThrow(
        expect.objectContaining({ code: "REPEATED_TOKENS" }),
      );
  });
});
