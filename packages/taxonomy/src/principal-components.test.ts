import { Random, ShapeError } from "@latentkit/core";
import { createReferenceBackend, Device } from "@latentkit/tensor";
import { expectNoLeaks, registerMatchers } from "@latentkit/tensor/testing";
import { describe, expect, it } from "vitest";
import golden from "./__fixtures__/linear-algebra.json" with { type: "json" };
import {
  componentCosines,
  CovarianceAccumulator,
  principalComponents,
  eigenpairs,
} from "./principal-components.ts";
import { asRows, cosine, randomDirections, rowOf } from "./vectors.ts";

registerMatchers(expect);
const device = new Device(createReferenceBackend());

describe("principalComponents", () => {
  it("agrees with NumPy's SVD, block by block, on data far from the origin", async () => {
    const rows = asRows(Float32Array.from(golden.activations), golden.d);
    const { variances, components, explained } = await principalComponents(device, rows, 17);
    expect(variances).toBeClose(golden.variances, { rtol: 1e-4, atol: 1e-4 });
    for (const [index, component] of components.entries())
      expect(Math.abs(cosine(component, golden.components[index] ?? []))).toBeGreaterThan(0.9999);
    expect(explained.reduce((sum, share) => sum + share, 0)).toBeCloseTo(1, 10);
    expectNoLeaks(device);
  });

  it("finds a planted direction, with an antipodal pair on it", async () => {
    const random = new Random(2);
    const d = 24;
    const [direction] = [rowOf(randomDirections(1, d, random), 0)];
    const data = random.fillNormal(new Float32Array(2000 * d));
    for (let row = 0; row < 2000; row++) {
      const amount = 6 * random.normal();
      for (let column = 0; column < d; column++)
        data[row * d + column] = (data[row * d + column] ?? 0) + amount * (direction[column] ?? 0);
    }
    const { components } = await principalComponents(device, asRows(data, d));
    const decoder = randomDirections(50, d, random);
    rowOf(decoder, 4).set(direction.map((value) => 3 * value));
    rowOf(decoder, 9).set(direction.map((value) => -value));
    const cosines = componentCosines(decoder, components[0] ?? new Float64Array(d));
    expect(Math.abs(cosines[4] ?? 0)).toBeGreaterThan(0.95);
    expect(cosines[9]).toBeCloseTo(-(cosines[4] ?? 0), 5);
    expect(cosines.filter((value) => Math.abs(value) > 0.75)).toHaveLength(2);
  });

  it("finds nothing in isotropic data: random directions stay below the cut", async () => {
    const random = new Random(3);
    const { components, explained } = await principalComponents(
      device,
      asRows(random.fillNormal(new Float32Array(3000 * 32)), 32),
    );
    expect(explained[0]).toBeLessThan(0.05);
    const cosines = componentCosines(
      randomDirections(500, 32, random),
      components[0] ?? new Float64Array(32),
    );
    expect(cosines.filter((value) => Math.abs(value) > 0.75)).toHaveLength(0);
  });

  it("refuses rows of another width and too few of them", async () => {
    const accumulator = new CovarianceAccumulator(4);
    await expect(accumulator.add(device, asRows(new Float32Array(10), 5))).rejects.toThrow(
      ShapeError,
    );
    await accumulator.add(device, asRows(new Float32Array(4), 4));
    expect(() => accumulator.components()).toThrow("1 rows");
  });
});

describe("eigenpairs", () => {
  it("solves a known matrix, largest first", () => {
    const { values, vectors } = eigenpairs(Float64Array.of(2, 1, 1, 2), 2);
    expect(values).toBeClose([3, 1], { rtol: 1e-12, atol: 0 });
    expect((vectors[0]?.[0] ?? 0) * (vectors[0]?.[1] ?? 0)).toBeCloseTo(0.5, 12);
  });
});
