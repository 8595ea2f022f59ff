import { fc, test } from "@fast-check/vitest";
import { ConfigError } from "@latentkit/core";
import { registerMatchers } from "@latentkit/tensor/testing";
import { describe, expect, it } from "vitest";
import golden from "./__fixtures__/linear-algebra.json" with { type: "json" };
import { betaQuantile, logGamma, regularizedBeta, regularizedBetaUpper } from "./beta.ts";

registerMatchers(expect);
const tight = { rtol: 1e-11, atol: 1e-14 };
const shapes = fc.tuple(
  fc.double({ min: 0.3, max: 400, noNaN: true }),
  fc.double({ min: 0.3, max: 400, noNaN: true }),
  fc.double({ min: 0.001, max: 0.999, noNaN: true }),
);

describe("logGamma", () => {
  it("gives factorials and the half", () => {
    expect([1, 2, 3, 6, 11, 0.5].map(logGamma)).toBeClose(
      [0, 0, Math.log(2), Math.log(120), Math.log(3_628_800), 0.5 * Math.log(Math.PI)],
      { rtol: 1e-13, atol: 1e-13 },
    );
  });
});

describe("regularizedBeta", () => {
  it("meets its closed forms", () => {
    const points = [0, 0.01, 0.2, 0.5, 0.77, 0.999, 1];
    expect(points.map((x) => regularizedBeta(x, 1, 1))).toBeClose(points, tight);
    expect(points.map((x) => regularizedBeta(x, 3, 1))).toBeClose(
      points.map((x) => x ** 3),
      tight,
    );
    expect(points.map((x) => regularizedBeta(x, 1, 4))).toBeClose(
      points.map((x) => 1 - (1 - x) ** 4),
      tight,
    );
    expect(points.map((x) => regularizedBeta(x, 0.5, 0.5))).toBeClose(
      points.map((x) => (2 / Math.PI) * Math.asin(Math.sqrt(x))),
      tight,
    );
  });

  test.prop([shapes])("is symmetric, and its tails sum to 1", ([a, b, x]) => {
    expect([
      regularizedBeta(x, a, b) + regularizedBeta(1 - x, b, a),
      regularizedBeta(x, a, b) + regularizedBetaUpper(x, a, b),
    ]).toBeClose([1, 1], { rtol: 1e-10, atol: 0 });
  });

  it("agrees with scipy, quantiles included", () => {
    const cases = golden.beta as [number, number, number, number, number][]; // rows as make.py writes them
    expect(cases.map(([a, b, q]) => betaQuantile(q, a, b))).toBeClose(
      cases.map((row) => row[3]),
      { rtol: 1e-9, atol: 1e-12 },
    );
    expect(cases.map(([a, b]) => regularizedBeta(0.3, a, b))).toBeClose(
      cases.map((row) => row[4]),
      { rtol: 1e-11, atol: 1e-14 },
    );
  });

  it("keeps digits in the upper tail", () => {
    // P(u^2 > 0.25) at d = 576 is below 1e-37: a subtraction from 1 would give 0.
    expect(regularizedBetaUpper(0.25, 0.5, 287.5)).toBeGreaterThan(1e-39);
    expect(regularizedBetaUpper(0.25, 0.5, 287.5)).toBeLessThan(1e-36);
  });

  it("refuses arguments outside its domain", () => {
    expect(() => regularizedBeta(1.1, 1, 1)).toThrow(ConfigError);
    expect(() => betaQuantile(0.5, 0, 1)).toThrow("a = 0");
  });
});
