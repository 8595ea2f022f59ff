import fc from "fast-check";
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { commonRange, spacedLevels, valueAtL0 } from "./at-equal-l0.ts";
import { holm } from "./holm.ts";
import { labelPermutation } from "./label-permutation.ts";
import { pairedDifference } from "./paired-difference.ts";

const numbers = z.array(z.number());
// Made by oracles/suite/make.py.
const golden = z
  .object({
    paired: z.array(
      z.object({
        differences: numbers,
        mean: z.number(),
        interval: z.tuple([z.number(), z.number()]),
        p: z.number(),
        swapP: z.number(),
      }),
    ),
    interpolated: z.array(z.object({ l0: numbers, values: numbers, at: numbers, found: numbers })),
    holm: z.array(z.object({ p: numbers, adjusted: numbers })),
  })
  .parse(
    JSON.parse(readFileSync(new URL("../__fixtures__/statistics.json", import.meta.url), "utf8")),
  );
const options = { seed: 0, resamples: 500 };

describe("a value at an L0", () => {
  it.each(golden.interpolated)(
    "is NumPy's, linear in log L0, case %#",
    ({ l0, values, at, found }) => {
      const points = l0.map((own, index) => ({ l0: own, value: values[index]! }));
      for (const [index, one] of at.entries())
        expect(valueAtL0(points.toReversed(), one)).toBeCloseTo(found[index]!, 12);
    },
  );

  it("is exact on a curve that is linear in log L0, and at its points", () => {
    const points = [4, 16, 64].map((l0) => ({ l0, value: 1 - Math.log2(l0) / 8 }));
    expect(valueAtL0(points, 8)).toBeCloseTo(1 - 3 / 8, 14);
    expect(valueAtL0(points, 32)).toBeCloseTo(1 - 5 / 8, 14);
    expect(valueAtL0(points, 16)).toBe(0.5);
  });

  it("is nothing outside of the curve, nor of what has no logarithm", () => {
    const points = [
      { l0: 0, value: 5 },
      { l0: 4, value: 1 },
      { l0: 16, value: 0 },
      { l0: Number.NaN, value: 5 },
    ];
    expect(valueAtL0(points, 3.99)).toBeNull();
    expect(valueAtL0(points, 16.01)).toBeNull();
    expect(valueAtL0(points, 4)).toBe(1);
    expect(valueAtL0([], 4)).toBeNull();
  });

  it("takes SAEs of one L0 as one", () => {
    const points = [
      { l0: 4, value: 1 },
      { l0: 4, value: 3 },
      { l0: 16, value: 0 },
    ];
    expect(valueAtL0(points, 4)).toBe(2);
    expect(valueAtL0(points, 8)).toBeCloseTo(1, 14);
  });
});

describe("the L0s that all curves reach", () => {
  const curve = (...l0: number[]) => l0.map((own) => ({ l0: own, value: 0 }));

  it("go from the largest of the smallest to the smallest of the largest", () => {
    expect(commonRange([curve(30, 4, 90), curve(100, 10), curve(8, 60)])).toEqual([10, 60]);
    expect(commonRange([curve(1, 2), curve(3, 4)])).toBeNull();
    expect(commonRange([curve(1, 2), curve(2, 4)])).toBeNull();
    expect(commonRange([curve(1, 2), []])).toBeNull();
    expect(commonRange([])).toBeNull();
  });

  it("are met by every level, both ends included", () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0.5, max: 50, noNaN: true }),
        fc.double({ min: 1.01, max: 50, noNaN: true }),
        fc.integer({ min: 2, max: 9 }),
        (low, ratio, count) => {
          const range = [low, low * ratio] as const;
          const levels = spacedLevels(range, count);
          expect(levels).toHaveLength(count);
          expect(levels[0]).toBe(range[0]);
          expect(levels.at(-1)).toBe(range[1]);
          for (const level of levels) expect(valueAtL0(curve(...range), level)).not.toBeNull();
          const steps = levels.slice(1).map((level, index) => Math.log(level / levels[index]!));
          for (const step of steps) expect(step).toBeCloseTo(Math.log(ratio) / (count - 1), 9);
        },
      ),
    );
  });
});

describe("a paired difference", () => {
  it.each(golden.paired)("is SciPy's, case %#", ({ differences, mean, interval, p, swapP }) => {
    const found = pairedDifference(differences, options);
    expect(found.n).toBe(differences.length);
    expect(found.mean).toBeCloseTo(mean, 12);
    expect(found.interval![0]).toBeCloseTo(interval[0], 9);
    expect(found.interval![1]).toBeCloseTo(interval[1], 9);
    expect(found.p).toBeCloseTo(p, 9);
    expect(found.swapP).toBeCloseTo(swapP, 12);
  });

  it("of two pairs is that of Cauchy's distribution", () => {
    const { p, interval } = pairedDifference([1, 3], options);
    // t = 2, one degree of freedom.
    expect(p).toBeCloseTo(1 - (2 / Math.PI) * Math.atan(2), 12);
    expect(interval![1] - 2).toBeCloseTo(Math.tan(0.475 * Math.PI), 6);
  });

  it("of one pair has no interval", () => {
    const none = { interval: null, bootstrap: null, p: null, swapP: null };
    expect(pairedDifference([0.3], options)).toEqual({ n: 1, mean: 0.3, ...none });
  });

  it("without spread is certain", () => {
    expect(pairedDifference([0, 0, 0], options)).toMatchObject({
      p: 1,
      swapP: 1,
      interval: [0, 0],
    });
    expect(pairedDifference([2, 2, 2], options)).toMatchObject({
      p: 0,
      swapP: 0.25,
      interval: [2, 2],
      bootstrap: [2, 2],
    });
  });

  it("changes its sign with the labels, and no p", () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: -99, max: 99 }), { minLength: 2, maxLength: 7 }),
        (differences) => {
          const one = pairedDifference(differences, options);
          const other = pairedDifference(
            differences.map((value) => -value),
            options,
          );
          expect(other.mean).toBeCloseTo(-one.mean, 12);
          expect(other.p).toBeCloseTo(one.p!, 12);
          expect(other.swapP).toBe(one.swapP);
          expect(one.swapP!).toBeGreaterThanOrEqual(2 ** (1 - differences.length) - 1e-12);
        },
      ),
    );
  });
});

describe("Holm's adjustment", () => {
  it("is that of five p-values by hand", () => {
    const found = holm([0.01, 0.04, null, 0.03, 0.005, 0.5]);
    const wanted = [0.04, 0.09, null, 0.09, 0.025, 0.5];
    for (const [place, p] of wanted.entries()) {
      if (p === null) expect(found[place]).toBeNull();
      else expect(found[place]).toBeCloseTo(p, 14);
    }
  });

  it.each(golden.holm)("is that of NumPy, case %#", ({ p, adjusted }) => {
    for (const [place, one] of holm(p).entries()) expect(one).toBeCloseTo(adjusted[place]!, 14);
  });

  it("lies between p and Bonferroni's, in the order of the p-values", () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 1, maxLength: 9 }),
        (ps) => {
          const found = holm(ps);
          for (const [place, p] of ps.entries()) {
            expect(found[place]!).toBeGreaterThanOrEqual(p);
            expect(found[place]!).toBeLessThanOrEqual(Math.min(1, ps.length * p) + 1e-15);
            for (const [other, larger] of ps.entries())
              if (larger > p) expect(found[other]!).toBeGreaterThanOrEqual(found[place]!);
          }
        },
      ),
    );
  });
});

describe("the null of shuffled labels", () => {
  it("has the subject less the mean of the others as its statistic", () => {
    const values = [
      [1, 2, 6],
      [2, 5, 5],
    ];
    const { statistic } = labelPermutation(values, 0, { draws: 10, seed: 0 });
    expect(statistic).toBeCloseTo((1 - 4 + 2 - 5) / 2, 12);
  });

  it("comes to the exact share where all of it is known", () => {
    // The subject is the smallest in each of 3 seeds, the others alike: it alone is as far from 0, in one of 4^3 draws.
    const values = Array.from({ length: 3 }, () => [0, 1, 1, 1]);
    const { p } = labelPermutation(values, 0, { draws: 200_000, seed: 1 });
    // Three deviations of 200,000 draws.
    expect(Math.abs(p - 1 / 64)).toBeLessThan(3 * Math.sqrt(1 / 64 / 200_000));
  });

  it("finds nothing where a seed moves all of them together", () => {
    const values = [
      [5, 5, 5],
      [9, 9, 9],
    ];
    expect(labelPermutation(values, 1, { draws: 100, seed: 0 })).toMatchObject({
      statistic: 0,
      p: 1,
      null: [0, 0],
    });
  });

  it("rejects a true null in a twentieth of the cases", () => {
    let state = 1;
    // A generator of its own, so that nothing depends on the draws that are tested.
    const uniform = () => (state = (state * 48_271) % 2_147_483_647) / 2_147_483_647;
    let rejected = 0;
    const cases = 600;
    for (let index = 0; index < cases; index++) {
      const values = Array.from({ length: 5 }, () => Array.from({ length: 5 }, uniform));
      if (labelPermutation(values, 2, { draws: 199, seed: index }).p <= 0.05) rejected += 1;
    }
    // Within four deviations of 0.05.
    expect(Math.abs(rejected / cases - 0.05)).toBeLessThan(4 * Math.sqrt((0.05 * 0.95) / cases));
  });
});
