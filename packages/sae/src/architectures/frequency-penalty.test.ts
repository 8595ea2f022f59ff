import { arrayBatches } from "@latentkit/activations";
import { Random } from "@latentkit/core";
import { createReferenceBackend, Device } from "@latentkit/tensor";
import { expectNoLeaks, registerMatchers } from "@latentkit/tensor/testing";
import { afterAll, describe, expect, it } from "vitest";
import { evaluateRows } from "../evaluate/rows.ts";
import { randomStep } from "../testing/random-parameters.ts";
import { referenceLoss } from "../testing/reference-step.ts";
import { gradientsOf } from "../testing/step-harness.ts";
import { toyWorld } from "../testing/toy-world.ts";
import { parseTrainConfig } from "../train/config.ts";
import { recipe } from "../train/recipes.ts";
import { trainSae } from "../train/train-sae.ts";

registerMatchers(expect);

const device = new Device(createReferenceBackend());
afterAll(() => {
  expectNoLeaks(device);
  device.dispose();
});

const run = {
  architecture: "jumprelu",
  batchSize: 1,
  steps: 1,
  learningRate: 3e-3,
  adam: { beta1: 0, beta2: 0.999, epsilon: 1e-8 },
  decoderBias: "zero",
  deadAfterTokens: 1000,
  evaluateEvery: 1000,
  checkpointEvery: 1000,
  sparsityWarmup: 0,
  bandwidth: 0.1,
  initialThreshold: 0.5,
  thresholdForm: "raw",
} as const;

/** No derivative of one batch's loss, but an estimate of the expected loss's; so it is held to both estimate and expectation. */
describe("the frequency penalty's gradient to theta", () => {
  const [dIn, dSae, rows, theta, lambda, omega] = [4, 6, 60_000, 0.5, 0.3, 0.1];
  const { parameters } = randomStep({ dIn, dSae, rows: 1, seed: 11, threshold: null });
  const model = { ...parameters, threshold: new Float64Array(dSae).fill(theta) };
  const random = new Random(12);
  const x = Float64Array.from({ length: rows * dIn }, () => Math.fround(random.normal()));
  const { preActivations: pre } = referenceLoss(model, {
    dIn,
    dSae,
    x,
    k: null,
    variance: 1,
    sparsity: lambda,
    auxiliary: null,
  });
  /** The share of rows whose pre-activation of a latent is above `from` and, where given, not above `to`. */
  const share = (latent: number, from: number, to = Number.POSITIVE_INFINITY): number => {
    let count = 0;
    for (let at = latent; at < pre.length; at += dSae) {
      const value = pre[at] ?? 0;
      count += value > from && value <= to ? 1 : 0;
    }
    return count / rows;
  };
  const latents = Array.from({ length: dSae }, (_, latent) => latent);

  /** What the penalty adds to the gradient of the loss without it, and to that loss. */
  async function added(): Promise<{ readonly theta: number[]; readonly loss: number }> {
    const [without, withIt] = await Promise.all(
      [null, omega].map((frequencyScale) =>
        gradientsOf({
          device,
          config: parseTrainConfig({ ...run, dSae, sparsity: lambda, frequencyScale }),
          parameters: model,
          x,
          sparsity: lambda,
          blockRows: 8000,
        }),
      ),
    );
    if (without === undefined || withIt === undefined) throw new TypeError("two steps were taken");
    const before = without.gradients.threshold;
    return {
      theta: Array.from(withIt.gradients.threshold, (value, at) => value - (before[at] ?? 0)),
      loss: withIt.loss - without.loss,
    };
  }

  it("is -(2 lambda / omega) p_i times the density at theta, and the loss lambda sum p_i^2 / omega", async () => {
    const found = await added();
    const { bandwidth } = run;
    const expected = latents.map((latent) => {
      const density = share(latent, theta - bandwidth / 2, theta + bandwidth / 2) / bandwidth;
      return (-2 * lambda * share(latent, theta) * density) / omega;
    });
    // f32 sums of a few thousand terms; one row at the window's edge is worth 2 lambda p / (omega rows eps) = 3e-4.
    expect(found.theta).toBeClose(expected, { rtol: 1e-4, atol: 4e-4 });
    const squares = latents.reduce((sum, latent) => sum + share(latent, theta) ** 2, 0);
    expect(found.loss).toBeCloseTo((lambda * squares) / omega, 4);
  });

  it("follows central differences of that loss in theta", async () => {
    const h = 0.05;
    const expected = latents.map((latent) => {
      const [above, below] = [share(latent, theta + h), share(latent, theta - h)];
      return (lambda * (above ** 2 - below ** 2)) / (omega * 2 * h);
    });
    expect(Math.min(...expected.map(Math.abs))).toBeGreaterThan(0.2);
    // The window of eps = 2h counts the same rows, so that only the curvature of p over it is left.
    expect((await added()).theta).toBeClose(expected, { rtol: 0.02, atol: 0 });
  });
});

describe("training with a frequency penalty", () => {
  // Twelve sparse features, and a direction that every row has some of, which one latent serves best by firing nearly always.
  const { data, dIn } = toyWorld({ features: 12, dIn: 8, density: 0.08, rows: 4000, seed: 5 });
  const random = new Random(3);
  for (let row = 0; row < data.length; row += dIn) {
    const size = 1 + 0.5 * random.normal();
    for (let c = 0; c < dIn; c++) data[row + c] = (data[row + c] ?? 0) + (c % 2 ? size : -size);
  }

  /** Shares of rows on which latents fire, the most frequent first. */
  async function densities(frequencyScale: number | null): Promise<number[]> {
    const { sae } = await trainSae({
      device,
      config: {
        ...run,
        dSae: 24,
        batchSize: 100,
        steps: 300,
        sparsity: 0.02,
        initialThreshold: 0.1,
        frequencyScale,
      },
      batches: arrayBatches(data, dIn, 1),
      heldOut: data.subarray(0, 100 * dIn),
    });
    const { firing, rows } = await evaluateRows(sae, data);
    sae.dispose();
    return Array.from(firing, (count) => count / rows).sort((a, b) => b - a);
  }

  it("leaves no latent far above omega, as an L0 penalty does, and others as they are", async () => {
    const [without, withIt] = [await densities(null), await densities(0.05)];
    expect(without[0]).toBeGreaterThan(0.6);
    expect(withIt[0]).toBeLessThan(0.3);
    const middle = (all: readonly number[]): number => all[12] ?? 0;
    expect(middle(without)).toBeGreaterThan(0.002);
    expect(middle(withIt) / middle(without)).toBeGreaterThan(0.5);
    expect(middle(withIt) / middle(without)).toBeLessThan(2);
  });
});

it("takes the scale from a recipe, for every JumpReLU with an L0", () => {
  for (const name of ["gemma-scope", "short-run", "gemma-scope-2"]) {
    expect(recipe(name, { dSae: 8, targetL0: 2, frequencyScale: 0.1 })).toMatchObject({
      frequencyScale: 0.1,
    });
    expect(recipe(name, { dSae: 8, targetL0: 2 })).toMatchObject({ frequencyScale: null });
  }
  expect(() => parseTrainConfig({ ...run, dSae: 8, sparsity: 1, frequencyScale: 0 })).toThrow(
    expect.objectContaining({ code: "TRAIN_CONFIG_INVALID" }),
  );
});
