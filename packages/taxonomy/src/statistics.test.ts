import { Random } from "@latentkit/core";
import { registerMatchers } from "@latentkit/tensor/testing";
import { describe, expect, it } from "vitest";
import { bootstrapRatio, median, quantileOfSorted, wilsonInterval } from "./statistics.ts";

registerMatchers(expect);

describe("wilsonInterval", () => {
  it("gives the textbook values", () => {
    // 15 of 50: Wilson (1927), as statsmodels prints it.
    const { low, high } = wilsonInterval(15, 50);
    expect([low, high]).toBeClose([0.19103, 0.4375], { rtol: 0, atol: 2e-4 });
  });

  it("stays inside [0, 1] at the ends", () => {
    expect(wilsonInterval(0, 20)).toMatchObject({ value: 0, low: 0 });
    expect(wilsonInterval(20, 20)).toMatchObject({ value: 1, high: 1 });
    expect(wilsonInterval(0, 20).high).toBeGreaterThan(0.1);
    expect(wilsonInterval(0, 0)).toEqual({ value: 0, low: 0, high: 1 });
  });
});

describe("bootstrapRatio", () => {
  it("is exact where all documents are alike", () => {
    const interval = bootstrapRatio([3, 6, 9], [10, 20, 30], { seed: 1 });
    expect([interval.value, interval.low, interval.high]).toBeClose([0.3, 0.3, 0.3], {
      rtol: 1e-12,
      atol: 0,
    });
  });

  it("covers the truth about 95% of the time when documents differ, where Wilson does not", () => {
    const random = new Random(5);
    let [covered, wilson] = [0, 0];
    const trials = 120;
    for (let trial = 0; trial < trials; trial++) {
      const hits: number[] = [];
      // Each document has its own rate around 0.3: tokens of one document are not independent.
      for (let document = 0; document < 60; document++) {
        const rate = random.uniform() < 0.5 ? 0.1 : 0.5;
        let count = 0;
        for (let token = 0; token < 50; token++) count += random.uniform() < rate ? 1 : 0;
        hits.push(count);
      }
      const interval = bootstrapRatio(
        hits,
        hits.map(() => 50),
        { seed: trial, resamples: 300 },
      );
      covered += interval.low <= 0.3 && 0.3 <= interval.high ? 1 : 0;
      const naive = wilsonInterval(
        hits.reduce((sum, count) => sum + count, 0),
        60 * 50,
      );
      wilson += naive.low <= 0.3 && 0.3 <= naive.high ? 1 : 0;
    }
    expect(covered / trials).toBeGreaterThan(0.88);
    expect(wilson / trials).toBeLessThan(0.75);
  });
});

describe("quantiles", () => {
  it("interpolate as NumPy does", () => {
    expect([quantileOfSorted([1, 2, 4], 0.25), median([4, 1, 2, 8])]).toBeClose([1.5, 3], {
      rtol: 0,
      atol: 1e-12,
    });
    expect(median([])).toBeNaN();
  });
});
