import { fc, test } from "@fast-check/vitest";
import { expect } from "vitest";
import { ValueHistograms } from "./value-histograms.ts";

const positive = fc.float({ min: Math.fround(1e-6), max: 1e6, noNaN: true });

test.prop([fc.array(positive, { minLength: 1, maxLength: 60 })])(
  "counts every value in the bin that it lies in, whatever their order",
  (values) => {
    const histograms = new ValueHistograms(2);
    for (const value of values) histograms.add(1, value);
    const { heights, values: middles } = histograms.read(1);
    const largest = Math.max(...values);
    const bin = 2 * (middles[0] ?? 0);
    expect(heights.reduce((sum, count) => sum + count, 0)).toBe(values.length);
    expect(heights.length).toBeLessThanOrEqual(64);
    expect(heights.length).toBeGreaterThanOrEqual(32);
    for (const [index, height] of heights.entries()) {
      const inside = values.filter(
        (value) => Math.min(heights.length - 1, Math.floor(value / bin)) === index,
      );
      expect(height).toBe(inside.length);
    }
    expect(largest).toBeLessThanOrEqual(heights.length * bin);
    const reversed = new ValueHistograms(2);
    for (const value of values.toReversed()) reversed.add(1, value);
    expect(reversed.read(1)).toEqual({ heights, values: middles });
    expect(reversed.read(0)).toEqual({ heights: [], values: [] });
  },
);
