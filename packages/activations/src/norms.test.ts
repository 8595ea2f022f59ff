import { ShapeError } from "@latentkit/core";
import { describe, expect, it } from "vitest";
import { median, normStatistics, rowNorms } from "./norms.ts";

describe("norms", () => {
  it("are those of 3-4-5 triangles", () => {
    expect([...rowNorms(Float32Array.of(3, 4, 6, 8, 0, 0), 2)]).toEqual([5, 10, 0]);
  });

  it("do not overflow in f32", () => {
    expect(rowNorms(Float32Array.of(3e30, 4e30), 2)[0]).toBeCloseTo(5e30, -24);
  });

  it("give mean, median and root mean square", () => {
    const statistics = normStatistics(Float32Array.of(3, 4, 0, 1, 0, 7), 2);
    expect(statistics).toEqual({
      rows: 3,
      mean: 13 / 3,
      median: 5,
      rootMeanSquare: Math.sqrt((25 + 1 + 49) / 3),
    });
  });

  it("refuse what is not rows", () => {
    expect(() => rowNorms(new Float32Array(5), 2)).toThrow(ShapeError);
    expect(() => normStatistics(new Float32Array(0), 2)).toThrow(ShapeError);
  });
});

describe("median", () => {
  it("is the middle, or the mean of the two middle ones", () => {
    expect(median([9, 1, 5])).toBe(5);
    expect(median([9, 1, 5, 6])).toBe(5.5);
    expect(median([10, 9, 100])).toBe(10);
    expect(median([])).toBeNaN();
  });
});
