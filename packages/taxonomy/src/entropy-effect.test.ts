import { Random, ShapeError } from "@latentkit/core";
import { createReferenceBackend, Device } from "@latentkit/tensor";
import { expectNoLeaks, registerMatchers } from "@latentkit/tensor/testing";
import { describe, expect, it } from "vitest";
import { entropyEffect, entropyShift, type FinalPath } from "./entropy-effect.ts";
import { eigenpairs } from "./principal-components.ts";
import { type Rows, rowOf } from "./vectors.ts";

registerMatchers(expect);
const device = new Device(createReferenceBackend());
const [d, vocabulary, k, tokens] = [64, 500, 10, 40];
const random = new Random(12);
const { vectors: basis } = eigenpairs(
  Float64Array.from({ length: d * d }, (_, index) => {
    const [i, j] = [Math.floor(index / d), index % d];
    return Math.sin(1 + Math.min(i, j) * 7.1 + Math.max(i, j) * 3.7 + i * j);
  }),
  d,
);

/** An unembedding whose last k directions are a hundredth as strong. */
const unembedding: Rows = {
  data: new Float32Array(vocabulary * d),
  count: vocabulary,
  width: d,
};
for (let token = 0; token < vocabulary; token++) {
  for (const [axis, direction] of basis.entries()) {
    const amount = 0.35 * random.normal() * (axis < d - k ? 1 : 0.01);
    const row = rowOf(unembedding, token);
    for (let column = 0; column < d; column++) {
      row[column] = (row[column] ?? 0) + amount * (direction[column] ?? 0);
    }
  }
}
const gain = new Float32Array(d).fill(1);
const path: FinalPath = { device, unembedding, gain, epsilon: 1e-6 };
const residuals: Rows = {
  data: random.fillNormal(new Float32Array(tokens * d)),
  count: tokens,
  width: d,
};

function along(direction: Float64Array, amount: number): Rows {
  const data = Float32Array.from(
    { length: tokens * d },
    (_, index) => amount * (direction[index % d] ?? 0),
  );
  return { data, count: tokens, width: d };
}
const mean = (values: Float64Array): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;
const [loud = new Float64Array(d), silent = new Float64Array(d)] = [basis[3], basis[d - 2]];

describe("entropyShift", () => {
  it("sees a null-space direction through the norm and not without it", async () => {
    const { total, frozen } = await entropyShift(path, residuals, along(silent, 8));
    expect(mean(total)).toBeGreaterThan(0.3);
    expect(Math.abs(mean(frozen))).toBeLessThan(0.01);
    expectNoLeaks(device);
  });

  it("sees an ordinary direction of equal norm directly", async () => {
    const { frozen } = await entropyShift(path, residuals, along(loud, 8));
    expect(Math.abs(mean(frozen))).toBeGreaterThan(0.3);
  });

  it("meets the first-order formula dH = ln(tau) Var_p(logits) for a small write", async () => {
    const deltas = along(silent, 0.8);
    const { total } = await entropyShift(path, residuals, deltas);
    const expected = Float64Array.from({ length: tokens }, (_, row) => {
      const x = rowOf(residuals, row);
      const delta = rowOf(deltas, row);
      const [before, after] = [x, x.map((value, column) => value + (delta[column] ?? 0))].map(
        (values) => Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / d),
      );
      const logits = Array.from({ length: vocabulary }, (_unused, token) =>
        rowOf(unembedding, token).reduce(
          (sum, value, column) => sum + (value * (x[column] ?? 0)) / (before ?? 1),
          0,
        ),
      );
      const largest = Math.max(...logits);
      const weights = logits.map((logit) => Math.exp(logit - largest));
      const all = weights.reduce((sum, weight) => sum + weight, 0);
      const expectation = (power: number): number =>
        logits.reduce(
          (sum, logit, token) => sum + ((weights[token] ?? 0) / all) * logit ** power,
          0,
        );
      return Math.log((after ?? 1) / (before ?? 1)) * (expectation(2) - expectation(1) ** 2);
    });
    // First order in ln(tau), which is up to a twentieth here.
    expect(total).toBeClose(expected, { rtol: 0.12, atol: 4e-3 });
    expect(mean(total)).toBeCloseTo(mean(expected), 2);
  });

  it("is nothing for no change, and refuses deltas of another shape", async () => {
    const { total, frozen } = await entropyShift(path, residuals, along(silent, 0));
    expect([...total, ...frozen]).toBeClose(new Array<number>(2 * tokens).fill(0), {
      rtol: 0,
      atol: 1e-6,
    });
    await expect(
      entropyShift(path, residuals, { ...residuals, count: tokens - 1 }),
    ).rejects.toThrow(ShapeError);
  });
});

describe("entropyEffect", () => {
  it("finds the latent that regulates entropy through the norm", async () => {
    const activations = Float32Array.from({ length: tokens }, (_, row) => (row % 2 === 0 ? 12 : 0));
    const regulating = await entropyEffect(path, residuals, Float32Array.from(silent), activations);
    expect(regulating.absoluteTotal).toBeGreaterThan(10 * regulating.absoluteFrozen);
    const ordinary = await entropyEffect(path, residuals, Float32Array.from(loud), activations);
    expect(ordinary.absoluteFrozen).toBeGreaterThan(0.1);
  });

  it("does nothing for a latent that is constant: mean ablation leaves it as it is", async () => {
    const effect = await entropyEffect(
      path,
      residuals,
      Float32Array.from(loud),
      new Float32Array(tokens).fill(3),
    );
    expect(effect.absoluteTotal).toBeLessThan(1e-6);
  });
});
