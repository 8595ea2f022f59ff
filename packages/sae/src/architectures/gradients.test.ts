import { createReferenceBackend, Device } from "@latentkit/tensor";
import { expectNoLeaks, registerMatchers } from "@latentkit/tensor/testing";
import { fc, test } from "@fast-check/vitest";
import { afterAll, describe, expect, it } from "vitest";
import { randomStep } from "../testing/random-parameters.ts";
import {
  type ReferenceLoss,
  referenceLoss,
  type ReferenceParameters,
} from "../testing/reference-step.ts";
import { gradientsOf } from "../testing/step-harness.ts";
import { parseTrainConfig, type TrainConfig } from "../train/config.ts";

registerMatchers(expect);

const device = new Device(createReferenceBackend());
afterAll(() => {
  expectNoLeaks(device);
  device.dispose();
});

const names = ["encoderRows", "decoder", "encoderBias", "decoderBias"] as const;
const run = {
  batchSize: 8,
  steps: 1,
  learningRate: 1e-3,
  adam: { beta1: 0, beta2: 0.999, epsilon: 1e-8 },
  decoderBias: "zero",
  deadAfterTokens: 10,
  evaluateEvery: 1,
  checkpointEvery: 1,
} as const;

function topKConfig(dSae: number, k: number, auxiliaryK: number | null = null): TrainConfig {
  return parseTrainConfig({
    ...run,
    architecture: "topk",
    dSae,
    k,
    auxiliaryWeight: 1 / 32,
    auxiliaryK,
  });
}

function jumpReluConfig(dSae: number, bandwidth: number, initialThreshold: number): TrainConfig {
  return parseTrainConfig({
    ...run,
    architecture: "jumprelu",
    dSae,
    sparsity: 0.3,
    sparsityWarmup: 0,
    bandwidth,
    initialThreshold,
    thresholdForm: "raw",
  });
}

/** Central differences of the f64 loss in each element. Throws where a step changed which latents fire: the sample is then no use. */
function differences(
  parameters: ReferenceParameters,
  options: ReferenceLoss,
  name: (typeof names)[number],
): Float64Array {
  const h = 1e-6;
  const base = referenceLoss(parameters, options);
  return parameters[name].map((_, index) => {
    const at = (change: number): number => {
      const moved = parameters[name].slice();
      moved[index] = (moved[index] ?? 0) + change;
      const result = referenceLoss({ ...parameters, [name]: moved }, options);
      expect(result.active).toBe(base.active);
      return result.loss;
    };
    return (at(h) - at(-h)) / (2 * h);
  });
}

// f32 gradients of sums over a few dozen terms of order 1 against differences good to about 1e-9.
const tolerance = { rtol: 2e-5, atol: 2e-6 };

describe("gradients against finite differences of the f64 loss", () => {
  it("TopK without dead latents", async () => {
    const sizes = { dIn: 5, dSae: 9, rows: 8 };
    const { parameters, x } = randomStep({ ...sizes, seed: 1, threshold: null });
    const options: ReferenceLoss = {
      ...sizes,
      x,
      k: 3,
      variance: 0.8,
      sparsity: 0,
      auxiliary: null,
    };
    const result = await gradientsOf({
      device,
      config: topKConfig(9, 3),
      parameters,
      x,
      variance: 0.8,
    });
    expect(result.loss).toBeCloseTo(referenceLoss(parameters, options).loss, 6);
    for (const name of names)
      expect(result.gradients[name]).toBeClose(differences(parameters, options, name), tolerance);
  });

  it.each([
    { what: "as many dead latents as k_aux", auxK: 2, dead: [0, 1, 0, 0, 0, 0, 0, 1, 0] },
    { what: "more dead latents than k_aux", auxK: 2, dead: [0, 1, 1, 0, 1, 0, 0, 1, 0] },
    { what: "fewer dead latents than k_aux", auxK: 4, dead: [0, 0, 1, 0, 0, 0, 0, 1, 0] },
  ])(
    "TopK with AuxK, $what: the residual and its variance are constants",
    async ({ auxK, dead }) => {
      const sizes = { dIn: 5, dSae: 9, rows: 8 };
      const { parameters, x } = randomStep({ ...sizes, seed: 2, threshold: null });
      const mask = Uint8Array.from(dead);
      const count = dead.reduce((sum, value) => sum + value, 0);
      const base: ReferenceLoss = {
        ...sizes,
        x,
        k: 2,
        variance: 0.8,
        sparsity: 0,
        auxiliary: { weight: 1 / 32, k: Math.min(auxK, count), dead: mask, frozen: null },
      };
      const start = referenceLoss(parameters, base);
      const options: ReferenceLoss = {
        ...base,
        auxiliary: {
          weight: 1 / 32,
          k: Math.min(auxK, count),
          dead: mask,
          frozen: { residual: start.residual, variance: start.residualVariance },
        },
      };
      const result = await gradientsOf({
        device,
        config: topKConfig(9, 2, auxK),
        parameters,
        x,
        variance: 0.8,
        dead: mask,
      });
      expect(result.auxiliaryLoss).toBeGreaterThan(0);
      expect(result.loss).toBeCloseTo(start.loss, 6);
      for (const name of names)
        expect(result.gradients[name]).toBeClose(differences(parameters, options, name), tolerance);
    },
  );

  it.each([false, true])(
    "JumpReLU's weights and biases, which see the reconstruction alone (dense: %s)",
    async (dense) => {
      const sizes = { dIn: 5, dSae: 9, rows: 8 };
      const { parameters, x } = randomStep({ ...sizes, seed: 3, threshold: 0.2 });
      const options: ReferenceLoss = {
        ...sizes,
        x,
        k: null,
        variance: 1,
        sparsity: 0.3,
        auxiliary: null,
      };
      const result = await gradientsOf({
        device,
        config: jumpReluConfig(9, 0.1, 0.2),
        parameters,
        x,
        sparsity: 0.3,
        dense,
      });
      expect(result.loss).toBeCloseTo(referenceLoss(parameters, options).loss, 6);
      for (const name of names)
        expect(result.gradients[name]).toBeClose(differences(parameters, options, name), tolerance);
    },
  );
});

describe("what the steps report and how they are cut", () => {
  it("counts firing latents", async () => {
    const { parameters, x } = randomStep({ dIn: 4, dSae: 6, rows: 10, seed: 4, threshold: 0.1 });
    const reference = referenceLoss(parameters, {
      dIn: 4,
      dSae: 6,
      x,
      k: null,
      variance: 1,
      sparsity: 0,
      auxiliary: null,
    });
    const expected = Array.from(
      { length: 6 },
      (_, latent) =>
        reference.latents.filter((value, index) => index % 6 === latent && value > 0).length,
    );
    for (const dense of [false, true]) {
      const { firing } = await gradientsOf({
        device,
        config: jumpReluConfig(6, 0.1, 0.1),
        parameters,
        x,
        dense,
      });
      expect(Array.from(firing)).toEqual(expected);
    }
  });

  const shapes = fc.record({
    dIn: fc.integer({ min: 1, max: 7 }),
    dSae: fc.integer({ min: 1, max: 12 }),
    rows: fc.integer({ min: 1, max: 9 }),
    seed: fc.integer({ min: 0, max: 1000 }),
  });

  test.prop([shapes, fc.integer({ min: 1, max: 10 })], { numRuns: 40, seed: 1 })(
    "sparse and dense steps agree, whatever the shape and the blocks",
    async (sizes, blockRows) => {
      const { parameters, x } = randomStep({ ...sizes, threshold: 0.15 });
      const config = jumpReluConfig(sizes.dSae, 0.2, 0.15);
      const sparse = await gradientsOf({ device, config, parameters, x, sparsity: 0.3, blockRows });
      const dense = await gradientsOf({
        device,
        config,
        parameters,
        x,
        sparsity: 0.3,
        dense: true,
        blockRows: 4,
      });
      // Sums of at most 100 terms of order 1, in another order; the threshold's are scaled by 1 / eps = 5.
      for (const name of [...names, "threshold"] as const)
        expect(dense.gradients[name]).toBeClose(sparse.gradients[name], { rtol: 1e-5, atol: 1e-5 });
      expect(Array.from(dense.firing)).toEqual(Array.from(sparse.firing));
    },
  );

  test.prop([shapes, fc.integer({ min: 1, max: 10 })], { numRuns: 40, seed: 1 })(
    "TopK does not depend on how a batch is cut into blocks",
    async (sizes, blockRows) => {
      const { parameters, x } = randomStep({ ...sizes, threshold: null });
      const dead = Uint8Array.from({ length: sizes.dSae }, (_, latent) =>
        latent % 3 === 0 ? 1 : 0,
      );
      const config = topKConfig(sizes.dSae, Math.max(1, Math.floor(sizes.dSae / 3)), 2);
      const whole = await gradientsOf({ device, config, parameters, x, dead, blockRows: 100 });
      const cut = await gradientsOf({ device, config, parameters, x, dead, blockRows });
      // The auxiliary loss divides by the residual's variance, which for a row or two may be tiny: compare relative to the largest.
      for (const name of names) {
        const largest = whole.gradients[name].reduce(
          (most, value) => Math.max(most, Math.abs(value)),
          0,
        );
        expect(cut.gradients[name]).toBeClose(whole.gradients[name], {
          rtol: 1e-4,
          atol: 1e-4 * largest + 1e-6,
        });
      }
    },
  );
});
