import { Random } from "@latentkit/core";
import { createReferenceBackend, Device } from "@latentkit/tensor";
import { expectNoLeaks, registerMatchers } from "@latentkit/tensor/testing";
import { fc, test } from "@fast-check/vitest";
import { afterAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { compareDirections } from "../evaluate/compare-directions.ts";
import { Sae } from "../sae.ts";
import { readFixture } from "../testing/golden-steps.ts";
import type { SyntheticWorldInput } from "./config.ts";
import { orthogonalise } from "./directions.ts";
import { detection, evaluateOnWorld, nearestFeatures } from "./evaluate-on-world.ts";
import { forestOf } from "./hierarchy.ts";
import { normalQuantile } from "./normal-quantile.ts";
import { perFeature } from "./per-feature.ts";
import { SyntheticWorld } from "./world.ts";

registerMatchers(expect);

// Made by oracles/sae/synthetic.py: SAELens's synthetic module.
const numbers = z.array(z.number());
const golden = readFixture(
  "synthetic.json",
  z.object({
    zipf: numbers,
    linear: numbers,
    magnitudes: z.object({ linear: numbers, exponential: numbers }),
    quantiles: z.array(z.tuple([z.number(), z.number()])),
    hierarchy: z.object({ trees: z.array(z.unknown()), corrections: numbers }),
    orthogonal: z.object({ before: numbers, after: numbers }),
    metrics: z.object({
      features: numbers,
      decoder: numbers,
      acts: numbers,
      latents: numbers,
      mcc: z.number(),
      uniqueness: z.number(),
      precision: z.number(),
      recall: z.number(),
      f1: z.number(),
      accuracy: z.number(),
    }),
  }),
);

const device = new Device(createReferenceBackend());
afterAll(() => {
  expectNoLeaks(device);
  device.dispose();
});

describe("as SAELens has it", () => {
  const options = () => ({ random: new Random(0), least: 0, most: 10 });
  const f32 = { rtol: 2e-6, atol: 1e-7 };

  it("spreads probabilities and magnitudes over the features", () => {
    const zipf = { kind: "zipf", exponent: 0.5, start: 0.4, end: 0.05 } as const;
    expect(perFeature("firing", zipf, 20, options())).toBeClose(golden.zipf, f32);
    const rule = (kind: "exponential" | "linear", start: number, end: number, count: number) =>
      perFeature("magnitude", { kind, start, end }, count, options());
    expect(rule("linear", 0.3, 0.1, 5)).toBeClose(golden.linear, f32);
    expect(rule("linear", 5, 4, 6)).toBeClose(golden.magnitudes.linear, f32);
    expect(rule("exponential", 4, 0.5, 6)).toBeClose(golden.magnitudes.exponential, f32);
  });

  it("knows the normal distribution's quantiles", () => {
    const [ps, expected] = [0, 1].map((at) => golden.quantiles.map((pair) => pair[at] ?? 0));
    expect((ps ?? []).map(normalQuantile)).toBeClose(expected ?? [], { rtol: 1e-9, atol: 1e-12 });
  });

  it("grows trees, and corrects probabilities for them", () => {
    const forest = forestOf(
      { roots: 3, branching: 2, depth: 2, exclusiveShare: 1 },
      20,
      new Random(0),
    );
    const bare = JSON.stringify(forest.trees, (_, value: unknown) =>
      (Array.isArray(value) && value.length === 0) || value === false ? undefined : value,
    );
    expect(JSON.parse(bare)).toEqual(golden.hierarchy.trees);
    expect(forest.corrections(Float64Array.from(golden.zipf))).toBeClose(
      golden.hierarchy.corrections,
      f32,
    );
  });

  it("moves directions apart", () => {
    const rows = Float64Array.from(golden.orthogonal.before);
    orthogonalise(rows, 4);
    // 200 steps of Adam, there in f32.
    expect(rows).toBeClose(golden.orthogonal.after, { rtol: 0, atol: 2e-3 });
  });

  it("scores what an SAE found", async () => {
    const { metrics } = golden;
    const [dIn, features] = [4, 6];
    const directions = Float64Array.from(metrics.features);
    const compared = await compareDirections(
      { rows: metrics.decoder, width: dIn },
      { rows: directions, width: dIn },
      { device, absolute: true, resamples: 0 },
    );
    expect(compared.meanMatchedCosine).toBeCloseTo(metrics.mcc, 5);
    for (let feature = 0; feature < features; feature++) {
      const row = directions.subarray(feature * dIn, (feature + 1) * dIn);
      const norm = Math.hypot(...row);
      for (const [at, value] of row.entries()) row[at] = value / norm;
    }
    const nearest = nearestFeatures(Float32Array.from(metrics.decoder), {
      directions,
      config: { dIn, features },
    });
    const rows = metrics.acts.length / features;
    expect(new Set(nearest).size / 9).toBeCloseTo(metrics.uniqueness, 6);
    const [latent, both, feature] = [new Float64Array(9), new Float64Array(9), new Float64Array(6)];
    for (let row = 0; row < rows; row++) {
      for (let at = 0; at < features; at++)
        feature[at] = (feature[at] ?? 0) + ((metrics.acts[row * features + at] ?? 0) > 0 ? 1 : 0);
      for (let at = 0; at < 9; at++) {
        const fires = metrics.latents[row * 9 + at] !== 0;
        const there = (metrics.acts[row * features + (nearest[at] ?? 0)] ?? 0) > 0;
        latent[at] = (latent[at] ?? 0) + (fires ? 1 : 0);
        both[at] = (both[at] ?? 0) + (fires && there ? 1 : 0);
      }
    }
    const { precision, recall, f1, accuracy } = metrics;
    const found = detection({ latent, both, feature }, nearest, rows);
    expect(Object.values(found)).toBeClose([precision, recall, f1, accuracy], f32);
  });
});

const small = { features: 12, dIn: 8, firing: 0.2, seed: 3 };

/** Share of rows in which each feature fires, and in which each pair of features does, `[features, features]`. */
function firing(
  config: SyntheticWorldInput,
  rows = 20_000,
): { share: number[]; pair: (i: number, j: number) => number } {
  const { features } = config;
  const drawn = new SyntheticWorld(config).sample(rows, 0).features;
  const fires = (row: number, feature: number): boolean =>
    (drawn[row * features + feature] ?? 0) > 0;
  const share = (condition: (row: number) => boolean): number => {
    let count = 0;
    for (let row = 0; row < rows; row++) if (condition(row)) count += 1;
    return count / rows;
  };
  return {
    share: Array.from({ length: features }, (_, feature) => share((row) => fires(row, feature))),
    pair: (i, j) => share((row) => fires(row, i) && fires(row, j)),
  };
}

describe("a world", () => {
  it("writes each feature's magnitude along its direction, and the bias", () => {
    const world = new SyntheticWorld({ ...small, magnitude: 2, deviation: 0.5, biasNorm: 3 });
    expect(Math.hypot(...world.bias)).toBeCloseTo(3, 12);
    const { features, activations } = world.sample(300, 1);
    const expected = Float64Array.from(activations, (_, at) => {
      const [row, column] = [Math.floor(at / 8), at % 8];
      let sum = world.bias[column] ?? 0;
      for (let feature = 0; feature < 12; feature++)
        sum += (features[row * 12 + feature] ?? 0) * (world.directions[feature * 8 + column] ?? 0);
      return sum;
    });
    expect(activations).toBeClose(expected, { rtol: 1e-6, atol: 1e-6 });
    const active = features.filter((value) => value > 0);
    const mean = active.reduce((sum, value) => sum + value, 0) / active.length;
    expect(Math.abs(mean - 2)).toBeLessThan(0.08);
    const variance = active.reduce((sum, value) => sum + (value - mean) ** 2, 0) / active.length;
    expect(Math.abs(Math.sqrt(variance) - 0.5)).toBeLessThan(0.06);
  });

  test.prop([fc.integer({ min: 1, max: 700 }), fc.integer({ min: 1, max: 300 })], {
    numRuns: 20,
    seed: 1,
  })(
    "serves the same rows in batches of any size, and from a restored state",
    async (skip, size) => {
      const world = new SyntheticWorld(small);
      const whole = world.sample(skip + size, 2).activations;
      const batches = world.batches(2);
      const first = await batches.next(skip);
      expect(first).toEqual(whole.subarray(0, skip * 8));
      const state: unknown = JSON.parse(JSON.stringify(batches.state()));
      expect(await batches.next(size)).toEqual(whole.subarray(skip * 8));
      const other = new SyntheticWorld(small).batches(2);
      other.restore(state);
      expect(await other.next(size)).toEqual(whole.subarray(skip * 8));
      expect(() => world.batches(3).restore(state)).toThrow(
        expect.objectContaining({ code: "BATCHES_STATE" }),
      );
    },
  );

  it("has streams and seeds of their own", () => {
    const of = (seed: number, stream: number) =>
      new SyntheticWorld({ ...small, seed }).sample(20, stream).activations.join();
    expect(new Set([of(3, 0), of(3, 1), of(4, 0)]).size).toBe(3);
    expect(of(3, 1)).toBe(of(3, 1));
  });

  it("fires as often as it says, correlated or not", () => {
    const list = Array.from({ length: 12 }, (_, feature) => 0.05 + 0.03 * feature);
    const lowRank = { kind: "low-rank", rank: 4, scale: 0.4 } as const;
    for (const correlation of [null, lowRank]) {
      const { share } = firing({ ...small, firing: list, correlation });
      // Three standard errors of 20,000 draws, and some.
      expect(share).toBeClose(list, { rtol: 0, atol: 0.013 });
    }
  });

  it("has pairs fire together as the copula says", () => {
    const pairs = [
      [0, 1, 0.8],
      [2, 3, -0.6],
    ] as const;
    const { pair } = firing({ ...small, firing: 0.5, correlation: { kind: "pairs", pairs } });
    // P(both above 0) = 1/4 + asin(r) / (2 pi), by Sheppard.
    const sheppard = (r: number): number => 0.25 + Math.asin(r) / (2 * Math.PI);
    expect([pair(0, 1), pair(2, 3), pair(4, 5)]).toBeClose([0.8, -0.6, 0].map(sheppard), {
      rtol: 0,
      atol: 0.012,
    });
  });

  it("silences children of silent parents, and all but one of exclusive ones", () => {
    const trees = [
      {
        feature: 0,
        exclusive: true,
        children: [{ feature: 1, children: [{ feature: 4 }] }, { feature: 2 }, { feature: 3 }],
      },
    ];
    const { share, pair } = firing({ ...small, firing: 0.4, hierarchy: { trees } });
    expect(Math.abs((share[0] ?? 0) - 0.4)).toBeLessThan(0.015);
    for (const child of [1, 2, 3]) expect(pair(0, child)).toBe(share[child]);
    expect(pair(1, 4)).toBe(share[4]);
    expect([pair(1, 2), pair(1, 3), pair(2, 3)]).toEqual([0, 0, 0]);
    // Some child fires with 0.4 (1 - 0.6^3), and each as often as the others.
    const each = (0.4 * (1 - 0.6 ** 3)) / 3;
    expect(share.slice(1, 4)).toBeClose([each, each, each], { rtol: 0, atol: 0.01 });
    expect(Math.abs((share[4] ?? 0) - 0.4 * each)).toBeLessThan(0.01);
    expect(Math.abs((share[9] ?? 0) - 0.4)).toBeLessThan(0.015);
  });

  it("compensates for parents", () => {
    const hierarchy = { roots: 4, branching: 2, depth: 1, compensate: true };
    const firingOf = Array.from({ length: 12 }, (_, feature) => (feature < 4 ? 0.4 : 0.1));
    const { share } = firing({ ...small, firing: firingOf, hierarchy });
    expect(share).toBeClose(firingOf, { rtol: 0, atol: 0.013 });
  });

  it("scales children by their parent", () => {
    const trees = [{ feature: 0, children: [{ feature: 1 }] }];
    const world = new SyntheticWorld({
      ...small,
      firing: 1,
      magnitude: 2,
      deviation: [0.5, ...new Array<number>(11).fill(0)],
      hierarchy: { trees, scaleByParent: true },
    });
    const { features } = world.sample(50, 0);
    for (let row = 0; row < 50; row++)
      expect(features[row * 12 + 1]).toBeCloseTo(features[row * 12] ?? 0, 5);
  });

  it.each([
    ["firing", { firing: 1.5 }],
    ["firing", { firing: [0.1, 0.2] }],
    ["magnitude", { magnitude: { kind: "exponential", start: 0, end: 1 } }],
    ["correlation", { correlation: { kind: "pairs", pairs: [[0, 12, 0.5]] } }],
    ["correlation", { correlation: { kind: "pairs", pairs: [], others: -0.5 } }],
    ["hierarchy", { hierarchy: { trees: [{ feature: 0, children: [{ feature: 0 }] }] } }],
    ["hierarchy", { hierarchy: { trees: [{ feature: 12 }] } }],
    ["hierarchy", { hierarchy: {} }],
    ["features", { features: 0 }],
  ] as const)("refuses a %s that cannot be: %o", (field, own) => {
    // Some of them are refused by the types too.
    const input = { ...small, ...own } as unknown as SyntheticWorldInput;
    expect(() => new SyntheticWorld(input)).toThrow(
      expect.objectContaining({
        code: "SYNTHETIC_CONFIG",
        message: expect.stringContaining(field) as string,
      }),
    );
  });
});

describe("evaluateOnWorld", () => {
  // Orthogonal features, so that an SAE of their directions is perfect.
  const world = new SyntheticWorld({ ...small, features: 6, directions: "orthogonalised" });
  const rows = world.sample(400, 5);
  const perfect = (changes: object = {}): Sae =>
    Sae.fromWeights(
      device,
      { architecture: "jumprelu", dIn: 8, dSae: 6 },
      {
        encoderRows: Float32Array.from(world.directions),
        decoder: Float32Array.from(world.directions),
        encoderBias: new Float32Array(6),
        decoderBias: new Float32Array(8),
        threshold: new Float32Array(6).fill(0.5),
        ...changes,
      },
    );

  it("gives an SAE of the truth full marks", async () => {
    using sae = perfect();
    const found = await evaluateOnWorld(sae, world, rows);
    expect(found).toMatchObject({ rows: 400, deadLatents: 0, uniqueness: 1, f1: 1, accuracy: 1 });
    expect(found.mcc).toBeCloseTo(1, 5);
    expect(found.l0).toBeCloseTo(found.trueL0, 10);
    expect(found.explainedVariance).toBeGreaterThan(0.99);
    expect(found.shrinkage).toBeCloseTo(1, 2);
  });

  it("sees dead latents, doubles and firing at the wrong place", async () => {
    using dead = perfect({ threshold: Float32Array.of(9, 0.5, 0.5, 0.5, 0.5, 0.5) });
    expect(await evaluateOnWorld(dead, world, rows)).toMatchObject({
      deadLatents: 1,
      precision: expect.closeTo(5 / 6, 6) as number,
      f1: expect.closeTo(5 / 6, 6) as number,
    });
    const double = Float32Array.from(world.directions);
    double.copyWithin(0, 8, 16);
    using same = perfect({ decoder: double });
    const doubled = await evaluateOnWorld(same, world, rows);
    expect(doubled.uniqueness).toBeCloseTo(5 / 6, 6);
    expect(doubled.mcc).toBeLessThan(0.9);
    expect(doubled.f1).toBeLessThan(0.9);
    await expect(
      evaluateOnWorld(same, new SyntheticWorld({ ...small, dIn: 5 }), rows),
    ).rejects.toMatchObject({ code: "SAE_WIDTH" });
  });
});
