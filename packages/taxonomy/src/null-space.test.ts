import { ConfigError, Random, ShapeError } from "@latentkit/core";
import { createReferenceBackend, Device } from "@latentkit/tensor";
import { expectNoLeaks, registerMatchers } from "@latentkit/tensor/testing";
import { describe, expect, it } from "vitest";
import golden from "./__fixtures__/linear-algebra.json" with { type: "json" };
import { nullSpaceCut, nullSpaceShares, unembeddingSpectrum } from "./null-space.ts";
import { asRows, cosine, randomDirections, rowOf } from "./vectors.ts";

registerMatchers(expect);
const device = new Device(createReferenceBackend());
const d = golden.d;
const unembedding = asRows(Float32Array.from(golden.unembedding), d);
const gain = Float32Array.from(golden.gain);

describe("unembeddingSpectrum", () => {
  it("agrees with NumPy's SVD of diag(gain) W_U", async () => {
    const { singularValues, directions } = await unembeddingSpectrum(device, unembedding, gain);
    expect(singularValues).toBeClose(golden.singularValues, { rtol: 1e-4, atol: 1e-4 });
    for (const [index, direction] of directions.entries())
      expect(Math.abs(cosine(direction, golden.leftVectors[index] ?? []))).toBeGreaterThan(0.9999);
    expectNoLeaks(device);
  });

  it("needs the gain: without it the weak directions are others", async () => {
    const { singularValues } = await unembeddingSpectrum(
      device,
      unembedding,
      new Float32Array(d).fill(1),
    );
    expect(Math.abs((singularValues[0] ?? 0) - (golden.singularValues[0] ?? 0))).toBeGreaterThan(
      0.5,
    );
  });

  it("completes the basis when the vocabulary is smaller than the width", async () => {
    const random = new Random(4);
    const small = asRows(random.fillNormal(new Float32Array(5 * 12)), 12);
    const { singularValues, directions } = await unembeddingSpectrum(
      device,
      small,
      new Float32Array(12).fill(1),
    );
    expect(directions).toHaveLength(12);
    expect(singularValues.filter((value) => value > 1e-2)).toHaveLength(5);
    // Exact null space: whatever lies in it writes nothing.
    const silent = directions.slice(5);
    const row = rowOf(small, 2);
    for (const direction of silent) expect(Math.abs(cosine(direction, row))).toBeLessThan(1e-5);
  });

  it("refuses a gain of another width", async () => {
    await expect(unembeddingSpectrum(device, unembedding, new Float32Array(d + 1))).rejects.toThrow(
      ShapeError,
    );
  });
});

describe("nullSpaceShares", () => {
  it.each([1, 3, 5])("agrees with NumPy for k = %i", async (k) => {
    const spectrum = await unembeddingSpectrum(device, unembedding, gain);
    const expected = golden.shares[String(k) as "1" | "3" | "5"]; // the keys that make.py writes
    expect(nullSpaceShares(asRows(Float32Array.from(golden.decoder), d), spectrum, k)).toBeClose(
      expected,
      { rtol: 1e-4, atol: 1e-5 },
    );
  });

  it("finds what is written into planted weak directions, and a random direction no more often than the cut allows", async () => {
    const random = new Random(6);
    const [width, vocabulary, k] = [64, 500, 10];
    const basis = await orthonormal(width, random);
    // W_U = A Q with the last k columns of A scaled by 0.01: span of the last k rows of Q is silent.
    const data = new Float32Array(vocabulary * width);
    for (let token = 0; token < vocabulary; token++) {
      for (const [axis, row] of basis.entries()) {
        const amount = random.normal() * (axis < width - k ? 1 : 0.01);
        for (let column = 0; column < width; column++)
          data[token * width + column] =
            (data[token * width + column] ?? 0) + amount * (row[column] ?? 0);
      }
    }
    const spectrum = await unembeddingSpectrum(
      device,
      asRows(data, width),
      new Float32Array(width).fill(1),
    );
    expect(
      (spectrum.singularValues[width - k] ?? 0) / (spectrum.singularValues[width - k - 1] ?? 1),
    ).toBeLessThan(0.05);
    const cut = nullSpaceCut(k, width);
    const planted = randomDirections(1, width, random);
    rowOf(planted, 0).set(
      basis
        .slice(-k)
        .reduce(
          (sum, row) => sum.map((value, column) => value + (row[column] ?? 0)),
          new Float64Array(width),
        ),
    );
    expect(nullSpaceShares(planted, spectrum, k)[0]).toBeGreaterThan(0.99);
    const shares = nullSpaceShares(randomDirections(4000, width, random), spectrum, k);
    expect(shares.filter((share) => share > cut).length).toBeLessThanOrEqual(12);
    // The paper's fixed 0.2 would flag nearly every random direction at this width.
    expect(shares.filter((share) => share > 0.2).length / shares.length).toBeGreaterThan(0.9);
  });
});

describe("nullSpaceCut", () => {
  it.each([
    [10, 576],
    [10, 64],
    [3, 12],
  ])("is the quantile of sampled directions, k = %i, d = %i", (k, width) => {
    const random = new Random(k, width);
    const draws = 20_000;
    const shares = new Float64Array(draws);
    for (let draw = 0; draw < draws; draw++) {
      let [inside, all] = [0, 0];
      // Any subspace serves: the direction is isotropic.
      for (let axis = 0; axis < width; axis++) {
        const square = random.normal() ** 2;
        all += square;
        if (axis < k) inside += square;
      }
      shares[draw] = Math.sqrt(inside / all);
    }
    for (const quantile of [0.5, 0.9, 0.999]) {
      const above =
        shares.filter((share) => share > nullSpaceCut(k, width, quantile)).length / draws;
      const error = Math.sqrt((quantile * (1 - quantile)) / draws);
      expect(Math.abs(above - (1 - quantile))).toBeLessThan(4.5 * error);
    }
    expect(shares.reduce((sum, share) => sum + share * share, 0) / draws).toBeCloseTo(k / width, 2);
  });

  it("refuses more directions than there are", () => {
    expect(() => nullSpaceCut(13, 12)).toThrow(ConfigError);
    expect(nullSpaceCut(12, 12)).toBe(1);
  });
});

async function orthonormal(width: number, random: Random): Promise<Float64Array[]> {
  const { directions } = await unembeddingSpectrum(
    device,
    randomDirections(2 * width, width, random),
    new Float32Array(width).fill(1),
  );
  return [...directions];
}
