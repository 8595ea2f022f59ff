import { ConfigError, ShapeError } from "@latentkit/core";
import { describe, expect, it } from "vitest";
import { computeMask, contextGrid, defaultMask, maskReasons, medianTokenNorm } from "./mask.ts";

const { keep, firstPosition, padding, normOutlier } = maskReasons;

describe("computeMask", () => {
  const grid = contextGrid([4, 2], 4);
  const norms = [900, 5, 50, 50.1, 7, Number.NaN, 1e9, 0];

  it("names position 0, padding and norms above ten medians, in that precedence", () => {
    const mask = computeMask({ ...grid, norms, medianNorm: 5, policy: defaultMask });
    expect([...mask]).toEqual([
      firstPosition,
      keep,
      keep,
      normOutlier,
      firstPosition,
      normOutlier,
      padding,
      padding,
    ]);
  });

  it("keeps position 0 where the policy says so, unless its norm is one of a sink", () => {
    const policy = { maskFirstPosition: false, maximumNormRatio: 10 };
    const mask = computeMask({ ...grid, norms, medianNorm: 5, policy });
    expect([...mask]).toEqual([
      normOutlier,
      keep,
      keep,
      normOutlier,
      keep,
      normOutlier,
      padding,
      padding,
    ]);
  });

  it("masks nothing by norm for a null ratio or a median of 0", () => {
    const off = { maskFirstPosition: true, maximumNormRatio: null };
    const expected = [firstPosition, keep, keep, keep, firstPosition, keep, padding, padding];
    expect([...computeMask({ ...grid, norms, medianNorm: 5, policy: off })]).toEqual(expected);
    expect([...computeMask({ ...grid, norms, medianNorm: 0, policy: defaultMask })]).toEqual(
      expected,
    );
  });

  it("gives a row the same answer in any batch", () => {
    const whole = computeMask({ ...grid, norms, medianNorm: 5, policy: defaultMask });
    const alone = norms.map(
      (norm, row) =>
        computeMask({
          norms: [norm],
          positions: [grid.positions[row] ?? 0],
          lengths: [grid.lengths[row] ?? 0],
          medianNorm: 5,
          policy: defaultMask,
        })[0],
    );
    expect(alone).toEqual([...whole]);
  });

  it("refuses columns of different lengths and a ratio that masks everything", () => {
    expect(() => computeMask({ ...grid, norms: [1], medianNorm: 5, policy: defaultMask })).toThrow(
      ShapeError,
    );
    const policy = { maskFirstPosition: true, maximumNormRatio: 0.5 };
    expect(() => computeMask({ ...grid, norms, medianNorm: 5, policy })).toThrow(ConfigError);
  });
});

describe("medianTokenNorm", () => {
  it("counts neither position 0 nor padding", () => {
    const { positions, lengths } = contextGrid([4, 2], 4);
    expect(medianTokenNorm([900, 5, 6, 8, 900, 7, 1e9, 1e9], positions, lengths)).toBe(6.5);
    expect(medianTokenNorm([900], [0], [1])).toBe(0);
  });
});
