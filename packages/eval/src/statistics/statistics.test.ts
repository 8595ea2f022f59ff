// Against SciPy; see oracles/eval/make.py.
import { Random } from "@latentkit/core";
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { bootstrapInterval, bootstrapMean, quantile } from "./bootstrap.ts";
import { equivalence } from "./equivalence.ts";
import { studentCumulative, studentQuantile } from "./student-t.ts";
import { wilson } from "./wilson.ts";

const pair = z.tuple([z.number(), z.number()]);
const golden = z
  .object({
    wilson: z.array(z.object({ successes: z.number(), trials: z.number(), interval: pair })),
    student: z.array(z.object({ t: z.number(), degrees: z.number(), value: z.number() })),
    quantile: z.array(
      z.object({ probability: z.number(), degrees: z.number(), value: z.number() }),
    ),
    equivalence: z.array(
      z.object({
        values: z.array(z.number()),
        margin: z.number(),
        center: z.number(),
        p: z.number(),
        interval: pair,
      }),
    ),
  })
  .parse(
    JSON.parse(readFileSync(new URL("../__fixtures__/statistics.json", import.meta.url), "utf8")),
  );

const near = (a: number, b: number, tolerance: number): void =>
  expect(Math.abs(a - b)).toBeLessThanOrEqual(tolerance);

describe("wilson", () => {
  it.each(golden.wilson)("$successes of $trials", ({ successes, trials, interval }) => {
    const [low, high] = wilson(successes, trials);
    near(low, interval[0], 1e-12);
    near(high, interval[1], 1e-12);
  });

  it("solves the equation that defines it", () => {
    for (const bound of wilson(37, 90))
      near(
        Math.abs(37 / 90 - bound),
        1.959963984540054 * Math.sqrt((bound * (1 - bound)) / 90),
        1e-12,
      );
  });

  it("covers the truth about as often as it says", () => {
    const random = new Random(3);
    let covered = 0;
    for (let run = 0; run < 2_000; run++) {
      let successes = 0;
      for (let trial = 0; trial < 60; trial++) if (random.uniform() < 0.93) successes++;
      const [low, high] = wilson(successes, 60);
      if (low <= 0.93 && 0.93 <= high) covered++;
    }
    near(covered / 2_000, 0.95, 0.025);
  });

  it.each([
    [1, 0],
    [-1, 4],
    [5, 4],
    [Number.NaN, 4],
  ])("refuses %d of %d", (successes, trials) => {
    expect(() => wilson(successes, trials)).toThrow(
      expect.objectContaining({ code: "STATISTIC_INPUT" }),
    );
  });
});

describe("Student's distribution", () => {
  it("is SciPy's", () => {
    for (const { t, degrees, value } of golden.student)
      near(studentCumulative(t, degrees), value, 1e-12);
    for (const { probability, degrees, value } of golden.quantile)
      near(studentQuantile(probability, degrees), value, 1e-9 * Math.max(1, Math.abs(value)));
  });
});

describe("equivalence", () => {
  it.each(golden.equivalence)(
    "within $margin of $center",
    ({ values, margin, center, p, interval }) => {
      const found = equivalence(values, { margin, center });
      near(found.p, p, 1e-9);
      near(found.interval[0], interval[0], 1e-9);
      near(found.interval[1], interval[1], 1e-9);
      expect(found.equivalent).toBe(p < 0.05);
      // The same said by the interval.
      expect(found.equivalent).toBe(interval[0] > center - margin && interval[1] < center + margin);
    },
  );

  it("does not take a lack of evidence for equivalence", () => {
    expect(equivalence([-3, 3, -2, 2], { margin: 0.5 }).equivalent).toBe(false);
    expect(equivalence([0.1, 0.1, 0.1], { margin: 0.5 })).toMatchObject({ equivalent: true, p: 0 });
    expect(equivalence([0.9, 0.9, 0.9], { margin: 0.5 })).toMatchObject({
      equivalent: false,
      p: 1,
    });
  });

  it.each([
    [[1], 1],
    [[1, Number.NaN], 1],
    [[1, 2], 0],
  ])("refuses %j with margin %d", (values, margin) => {
    expect(() => equivalence(values, { margin })).toThrow(
      expect.objectContaining({ code: "STATISTIC_INPUT" }),
    );
  });
});

describe("bootstrapMean", () => {
  it("is as wide as the standard error says for independent values", () => {
    const random = new Random(1);
    const values = Array.from({ length: 400 }, () => random.normal());
    const [low, high] = bootstrapMean(values, { seed: 0, resamples: 4_000 })!;
    near(high - low, (2 * 1.96) / Math.sqrt(400), 0.03);
  });

  it("knows that copies of a value are no evidence", () => {
    const random = new Random(2);
    const values = Array.from({ length: 40 }, () => random.normal());
    const copies = values.flatMap((value) => Array.from({ length: 25 }, () => value));
    const clusters = values.flatMap((_, index) =>
      Array.from({ length: 25 }, () => `document ${index}`),
    );
    const alone = bootstrapMean(values, { seed: 0 })!;
    const clustered = bootstrapMean(copies, { seed: 0, clusters })!;
    near(clustered[0], alone[0], 1e-12);
    near(clustered[1], alone[1], 1e-12);
    const naive = bootstrapMean(copies, { seed: 0 })!;
    expect(naive[1] - naive[0]).toBeLessThan((clustered[1] - clustered[0]) / 3);
  });

  it("is the same by the same seed, null for one cluster, and refuses what is not finite", () => {
    const values = [1, 2, 4, 9];
    expect(bootstrapMean(values, { seed: 5 })).toEqual(bootstrapMean(values, { seed: 5 }));
    expect(bootstrapMean(values, { seed: 5 })).not.toEqual(
      bootstrapMean(values, { seed: 6, resamples: 7 }),
    );
    expect(bootstrapMean(values, { seed: 5, clusters: [1, 1, 1, 1] })).toBeNull();
    const code = { code: "STATISTIC_INPUT" };
    expect(() => bootstrapMean([1, Number.NaN], { seed: 5 })).toThrow(
      expect.objectContaining(code),
    );
    expect(() => bootstrapMean(values, { seed: 5, clusters: [1] })).toThrow(
      expect.objectContaining(code),
    );
    expect(() => bootstrapInterval(3, () => 0, { seed: 0, level: 1 })).toThrow(
      expect.objectContaining(code),
    );
  });

  it("takes quantiles as NumPy does", () => {
    expect(quantile([1, 2, 3, 4], 0.5)).toBe(2.5);
    near(quantile([1, 2, 3, 4], 0.9), 3.7, 1e-12);
  });
});
