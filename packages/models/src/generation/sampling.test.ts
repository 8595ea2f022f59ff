import { Random } from "@latentkit/core";
import { fc, test } from "@fast-check/vitest";
import { describe, expect, it } from "vitest";
import { checkSampling, mostProbable, sampleToken, type SamplingOptions } from "./sampling.ts";

const logitsArbitrary = fc
  .array(fc.float({ min: -20, max: 20, noNaN: true }), { minLength: 1, maxLength: 40 })
  .map((values) => Float32Array.from(values));

/** What each token's probability should be, by the definitions and without regard to speed. */
function expected(
  logits: Float32Array,
  { temperature = 0, topK = logits.length, topP = 1, minP = 0 }: SamplingOptions,
): number[] {
  const order = Array.from(logits.keys()).sort(
    (a, b) => (logits[b] ?? 0) - (logits[a] ?? 0) || a - b,
  );
  const softmax = (tokens: number[]) => {
    const weights = tokens.map((token) =>
      Math.exp((logits[token] ?? 0) / temperature - Math.max(...logits) / temperature),
    );
    const mass = weights.reduce((sum, weight) => sum + weight, 0);
    return weights.map((weight) => weight / mass);
  };
  let kept = order.slice(0, topK);
  const probabilities = softmax(kept);
  let reached = 0;
  kept = kept.filter((_, index) => {
    const wanted = reached < topP - 1e-12;
    reached += probabilities[index] ?? 0;
    return wanted;
  });
  const left = softmax(kept);
  kept = kept.filter((_, index) => (left[index] ?? 0) >= minP * Math.max(...left));
  const result = new Array<number>(logits.length).fill(0);
  for (const [index, probability] of softmax(kept).entries())
    result[kept[index] ?? 0] = probability;
  return result;
}

describe("sampleToken", () => {
  it("takes a sum of exponentials that is at hand", () => {
    const logits = Float32Array.of(1, 3, 3, 2);
    const given = { logSumExp: 5 };
    expect(sampleToken(logits, given, new Random(0))).toEqual({ token: 1, logProbability: -2 });
    expect(mostProbable(logits, 1, 5)).toEqual([{ token: 1, logProbability: -2 }]);
    const spoilt = Float32Array.of(1, Number.NaN);
    expect(() => mostProbable(spoilt, 1, 5)).toThrow("NaN");
  });

  it("takes the largest logit when greedy, the first of equals", () => {
    const sampled = sampleToken(Float32Array.of(1, 3, 3, 2), {}, new Random(0));
    expect(sampled.token).toBe(1);
    expect(sampled.logProbability).toBeCloseTo(
      3 - Math.log(Math.exp(1) + 2 * Math.exp(3) + Math.exp(2)),
      6,
    );
  });

  it.each([
    { temperature: 1 },
    { temperature: 0.5 },
    { temperature: 2, topK: 3 },
    { temperature: 1, topP: 0.7 },
    { temperature: 1.3, topK: 4, topP: 0.8 },
    { temperature: 1, minP: 0.2 },
    { temperature: 1.5, topK: 5, topP: 0.95, minP: 0.15 },
  ])("draws with the probabilities of %o", (options) => {
    const logits = Float32Array.of(0.5, 2, -1, 1.2, 0.1, -3);
    const draws = 20_000;
    const counts = new Array<number>(logits.length).fill(0);
    const random = new Random(11);
    for (let draw = 0; draw < draws; draw++) {
      const { token } = sampleToken(logits, options, random);
      counts[token] = (counts[token] ?? 0) + 1;
    }
    for (const [token, probability] of expected(logits, options).entries()) {
      const deviation = Math.sqrt((probability * (1 - probability)) / draws);
      expect(Math.abs((counts[token] ?? 0) / draws - probability)).toBeLessThanOrEqual(
        4.5 * deviation,
      );
    }
  });

  test.prop([logitsArbitrary, fc.integer(), fc.double({ min: 0.1, max: 3, noNaN: true })])(
    "topK 1 and a tiny topP are greedy",
    (logits, seed, temperature) => {
      const greedy = sampleToken(logits, {}, new Random(0)).token;
      expect(sampleToken(logits, { temperature, topK: 1 }, new Random(seed)).token).toBe(greedy);
      expect(sampleToken(logits, { temperature, topP: 1e-9 }, new Random(seed)).token).toBe(greedy);
    },
  );

  test.prop([
    logitsArbitrary,
    fc.integer(),
    fc.integer({ min: 1, max: 50 }),
    fc.double({ min: 0.05, max: 1, noNaN: true }),
  ])(
    "never draws outside topK and topP, and the same seed draws the same",
    (logits, seed, topK, topP) => {
      const options = { temperature: 1, topK: Math.min(topK, logits.length), topP };
      const { token } = sampleToken(logits, options, new Random(seed));
      // A hair more than topP, since the oracle's sums are rounded otherwise.
      expect(
        expected(logits, { ...options, topP: Math.min(1, topP + 1e-6) })[token],
      ).toBeGreaterThan(0);
      expect(sampleToken(logits, options, new Random(seed)).token).toBe(token);
    },
  );

  it("chooses by changed logits, and reports the model's own probability", () => {
    const logits = Float32Array.of(1, 3, 2);
    const chooseBy = Float32Array.of(1, -Infinity, 2);
    const mass = Math.exp(1) + Math.exp(3) + Math.exp(2);
    for (const temperature of [0, 1e-3]) {
      const { token, logProbability } = sampleToken(
        logits,
        { chooseBy, temperature },
        new Random(0),
      );
      expect(token).toBe(2);
      expect(logProbability).toBeCloseTo(2 - Math.log(mass), 6);
    }
  });

  it("lists the most probable tokens", () => {
    const logits = Float32Array.of(1, 3, 3, 2);
    const mass = Math.exp(1) + 2 * Math.exp(3) + Math.exp(2);
    const listed = mostProbable(logits, 3);
    expect(listed.map(({ token }) => token)).toEqual([1, 2, 3]);
    expect(listed[2]?.logProbability).toBeCloseTo(2 - Math.log(mass), 6);
    expect(mostProbable(logits, 9)).toHaveLength(4);
  });

  it("refuses logits that are not finite", () => {
    const notFinite = expect.objectContaining({ code: "LOGITS_NOT_FINITE" });
    expect(() => sampleToken(Float32Array.of(1, Number.NaN), {}, new Random(0))).toThrow(notFinite);
    expect(() => sampleToken(Float32Array.of(-Infinity, -Infinity), {}, new Random(0))).toThrow(
      notFinite,
    );
    expect(
      sampleToken(Float32Array.of(-Infinity, 2), { temperature: 1 }, new Random(0)).token,
    ).toBe(1);
  });
});

describe("checkSampling", () => {
  it.each([
    { temperature: -1 },
    { temperature: Number.NaN },
    { topK: 0 },
    { topK: 1.5 },
    { topP: 0 },
    { topP: 1.1 },
    { topP: Number.NaN },
    { minP: -0.1 },
    { minP: 1.1 },
  ])("refuses %o", (options) => {
    expect(() => checkSampling(options)).toThrow(
      expect.objectContaining({ code: "SAMPLING_INVALID" }),
    );
  });

  it("accepts its ranges' ends", () => {
    expect(() => checkSampling({ temperature: 0, topK: 1, topP: 1 })).not.toThrow();
  });
});
