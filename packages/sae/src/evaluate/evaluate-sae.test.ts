import { maskReasons } from "@latentkit/activations";
import { Random } from "@latentkit/core";
import { createReferenceBackend, Device } from "@latentkit/tensor";
import { expectNoLeaks, registerMatchers } from "@latentkit/tensor/testing";
import { fc, test } from "@fast-check/vitest";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Sae } from "../sae.ts";
import { exampleSae } from "../testing/example-sae.ts";
import { identitySae } from "../testing/identity-sae.ts";
import { bootstrapInterval, ratioOf } from "./bootstrap.ts";
import { evaluateSae } from "./evaluate-sae.ts";
import type { EvaluationRows } from "./split-rows.ts";

registerMatchers(expect);

const device = new Device(createReferenceBackend());
const dIn = 8;
const rows = 60;
const random = new Random(21);
// A large mean and a few sinks, as real activations have.
const activations = Float32Array.from(
  { length: rows * dIn },
  (_, index) => 3 + random.normal() * (Math.floor(index / dIn) % 20 === 0 ? 100 : 1),
);
const masks = Uint8Array.from({ length: rows }, (_, row) =>
  row % 20 === 0
    ? maskReasons.firstPosition
    : row % 20 >= 17
      ? maskReasons.padding
      : maskReasons.keep,
);
const documents = Int32Array.from({ length: rows }, (_, row) => 100 + Math.floor(row / 10));
let sae: Sae;

beforeAll(() => {
  sae = exampleSae(device, "jumprelu");
});
afterAll(() => {
  sae.dispose();
  expectNoLeaks(device);
  device.dispose();
});

/** The definitions of the notes, written out for the rows whose mask is in `reasons`. */
async function byDefinition(reasons: readonly number[]): Promise<{
  readonly l0: number;
  readonly fvu: number;
  readonly gamma: number;
  readonly ratio: number;
  readonly cosine: number;
  readonly densities: number[];
}> {
  const { encoderRows, decoder, encoderBias, decoderBias, threshold } = await sae.weights();
  const at = (values: ArrayLike<number> | null, index: number): number => values?.[index] ?? 0;
  const kept = [...masks.keys()].filter((row) => reasons.includes(masks[row] ?? -1));
  const mean = Array.from(
    { length: dIn },
    (_, c) => kept.reduce((sum, row) => sum + at(activations, row * dIn + c), 0) / kept.length,
  );
  const densities = new Array<number>(sae.config.dSae).fill(0);
  let [error, spread, active, outputs, products, ratio, cosine] = [0, 0, 0, 0, 0, 0, 0];
  for (const row of kept) {
    const x = Array.from({ length: dIn }, (_, c) => at(activations, row * dIn + c));
    const out = Array.from(decoderBias);
    for (let latent = 0; latent < sae.config.dSae; latent++) {
      const pre =
        at(encoderBias, latent) +
        x.reduce(
          (sum, value, c) => sum + at(encoderRows, latent * dIn + c) * (value - at(decoderBias, c)),
          0,
        );
      if (pre <= at(threshold, latent)) continue;
      active += 1;
      densities[latent] = (densities[latent] ?? 0) + 1 / kept.length;
      for (let c = 0; c < dIn; c++) out[c] = (out[c] ?? 0) + pre * at(decoder, latent * dIn + c);
    }
    const sum = (term: (value: number, c: number) => number): number =>
      x.reduce((total, value, c) => total + term(value, c), 0);
    error += sum((value, c) => (value - at(out, c)) ** 2);
    spread += sum((value, c) => (value - at(mean, c)) ** 2);
    const [xx, oo, xo] = [
      sum((value) => value * value),
      sum((_, c) => at(out, c) ** 2),
      sum((value, c) => value * at(out, c)),
    ];
    outputs += oo;
    products += xo;
    ratio += Math.sqrt(oo / xx);
    cosine += xo / Math.sqrt(xx * oo);
  }
  const n = kept.length;
  return {
    l0: active / n,
    fvu: error / spread,
    gamma: outputs / products,
    ratio: ratio / n,
    cosine: cosine / n,
    densities,
  };
}

describe("evaluateSae", () => {
  it("measures what the definitions say, over unmasked tokens", async () => {
    const metrics = await evaluateSae(sae, [{ activations, masks, documents }]);
    const expected = await byDefinition([maskReasons.keep]);
    const all = await byDefinition([maskReasons.keep, maskReasons.firstPosition]);
    expect(metrics.tokens).toBe(48);
    expect(metrics.documents).toBe(6);
    const found = [
      metrics.l0,
      metrics.fvu,
      metrics.relativeReconstructionBias,
      metrics.l2Ratio,
      metrics.cosine,
      metrics.fvuWithMasked,
    ];
    expect(found).toBeClose(
      [expected.l0, expected.fvu, expected.gamma, expected.ratio, expected.cosine, all.fvu],
      { rtol: 1e-5, atol: 1e-6 },
    );
    expect(metrics.densities).toBeClose(expected.densities, { rtol: 1e-6, atol: 1e-6 });
    expect(metrics.deadFraction).toBeCloseTo(
      expected.densities.filter((density) => density === 0).length / 24,
      12,
    );
    expect(metrics.denseFraction).toBeCloseTo(
      expected.densities.filter((density) => density > 0.1).length / 24,
      12,
    );
  });

  it("gives intervals that hold the figures, the same ones each time", async () => {
    const first = await evaluateSae(sae, [{ activations, masks, documents }]);
    const second = await evaluateSae(sae, [{ activations, masks, documents }]);
    expect(second.l0Interval).toEqual(first.l0Interval);
    for (const [figure, interval] of [
      [first.l0, first.l0Interval],
      [first.fvu, first.fvuInterval],
    ] as const) {
      expect(interval?.[0]).toBeLessThan(figure);
      expect(interval?.[1]).toBeGreaterThan(figure);
    }
    const without = await evaluateSae(sae, [{ activations, masks }]);
    expect([without.l0Interval, without.fvuInterval, without.documents]).toEqual([null, null, 0]);
  });

  it("finds nothing unexplained where nothing is", async () => {
    using perfect = identitySae(device, dIn);
    const metrics = await evaluateSae(perfect, [{ activations, masks }]);
    expect(metrics).toMatchObject({
      fvu: 0,
      fvuWithMasked: 0,
      relativeReconstructionBias: 1,
      l0: dIn,
    });
    expect([metrics.cosine, metrics.l2Ratio]).toBeClose([1, 1], { rtol: 1e-12, atol: 0 });
  });

  test.prop([fc.array(fc.integer({ min: 0, max: rows }), { maxLength: 5 })], { numRuns: 15 })(
    "does not depend on how the rows are cut into pieces",
    async (cuts) => {
      const bounds = [0, ...cuts.toSorted((a, b) => a - b), rows];
      const pieces: EvaluationRows[] = bounds.slice(1).map((end, index) => {
        const start = bounds[index] ?? 0;
        return {
          activations: activations.slice(start * dIn, end * dIn),
          masks: masks.slice(start, end),
          documents: documents.slice(start, end),
        };
      });
      const [whole, cut] = [
        await evaluateSae(sae, [{ activations, masks, documents }], { resamples: 20 }),
        await evaluateSae(sae, pieces, { resamples: 20 }),
      ];
      expect(cut.fvu).toBeCloseTo(whole.fvu, 10);
      expect(cut.fvuWithMasked).toBeCloseTo(whole.fvuWithMasked, 10);
      expect(cut.l0Interval).toEqual(whole.l0Interval);
      expect(cut.densities).toEqual(whole.densities);
    },
  );

  it("refuses what it cannot measure", async () => {
    await expect(
      evaluateSae(sae, [
        { activations, masks: new Uint8Array(rows).fill(maskReasons.firstPosition) },
      ]),
    ).rejects.toMatchObject({ code: "EVALUATION_EMPTY" });
    await expect(
      evaluateSae(sae, [{ activations: activations.subarray(1) }]),
    ).rejects.toMatchObject({ code: "SHAPE_ROWS" });
    await expect(
      evaluateSae(sae, [{ activations, masks: masks.subarray(1) }]),
    ).rejects.toMatchObject({ code: "SHAPE_ROWS" });
    await expect(
      evaluateSae(sae, [{ activations }], { signal: AbortSignal.abort() }),
    ).rejects.toMatchObject({ code: "ABORTED" });
  });
});

describe("bootstrapInterval", () => {
  it("is about 1.96 standard errors to each side for independent units", () => {
    const values = Float64Array.from({ length: 400 }, () => 5 + random.normal());
    const ones = new Float64Array(400).fill(1);
    const interval = bootstrapInterval(400, ratioOf(values, ones), { resamples: 4000, seed: 1 });
    const mean = values.reduce((sum, value) => sum + value, 0) / 400;
    const error = Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / 400) / 20;
    // The quantile of 4,000 resamples is good to about 4% of its distance from the mean.
    expect((mean - (interval?.[0] ?? 0)) / error).toBeCloseTo(1.96, 0);
    expect(((interval?.[1] ?? 0) - mean) / error / 1.96).toBeGreaterThan(0.88);
    expect(((interval?.[1] ?? 0) - mean) / error / 1.96).toBeLessThan(1.12);
  });

  it("is null for a single unit", () => {
    expect(bootstrapInterval(1, () => 1, { resamples: 10, seed: 0 })).toBeNull();
  });
});
