import { Random } from "@latentkit/core";
import { createReferenceBackend, Device } from "@latentkit/tensor";
import { registerMatchers } from "@latentkit/tensor/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { randomStep } from "../testing/random-parameters.ts";
import { referenceLoss, type ReferenceParameters } from "../testing/reference-step.ts";
import { gradientsOf } from "../testing/step-harness.ts";
import { parseTrainConfig } from "../train/config.ts";

registerMatchers(expect);

/**
 * The gradient to theta is no derivative of any one batch's loss, which is piecewise constant in theta but for jumps. It estimates
 * the derivative of the EXPECTED loss, (E[I | pi = theta] - lambda) p(theta), with I = 2 theta d . (x - x^) (2407.14435, section
 * 3). So it is compared with that estimate computed by other code from the same samples, tightly, and with central differences
 * of the mean loss over many samples, within the noise of both.
 */
describe("JumpReLU's straight-through gradient", () => {
  const [dIn, dSae, theta, lambda, samples] = [4, 6, 0.5, 0.3, 400_000];
  const { parameters } = randomStep({ dIn, dSae, rows: 1, seed: 11, threshold: null });
  const model: ReferenceParameters = {
    ...parameters,
    threshold: new Float64Array(dSae).fill(theta),
  };
  const x = new Float64Array(samples * dIn);
  const device = new Device(createReferenceBackend());
  let pre: Float64Array;
  let residual: Float64Array;

  beforeAll(() => {
    const random = new Random(12);
    for (let index = 0; index < x.length; index++) x[index] = Math.fround(random.normal());
    ({ preActivations: pre, residual } = referenceLoss(model, {
      dIn,
      dSae,
      x,
      k: null,
      variance: 1,
      sparsity: lambda,
      auxiliary: null,
    }));
  });
  afterAll(() => device.dispose());

  /** (1 / (N eps)) sum_a (I_i(x_a) - lambda) K((pi_i(x_a) - theta_i) / eps). */
  function kernelEstimate(bandwidth: number): Float64Array {
    return Float64Array.from({ length: dSae }, (_, latent) => {
      let sum = 0;
      for (let row = 0; row < samples; row++) {
        if (Math.abs((pre[row * dSae + latent] ?? 0) - theta) >= bandwidth / 2) continue;
        let along = 0;
        for (let c = 0; c < dIn; c++)
          along += (model.decoder[latent * dIn + c] ?? 0) * (residual[row * dIn + c] ?? 0);
        sum += 2 * theta * along - lambda;
      }
      return sum / (samples * bandwidth);
    });
  }

  /** Central differences of the mean loss in theta, from the change that each sample's jump makes. */
  function meanLossDifferences(h: number): Float64Array {
    return Float64Array.from({ length: dSae }, (_, latent) => {
      let change = 0;
      for (let row = 0; row < samples; row++) {
        const value = pre[row * dSae + latent] ?? 0;
        // Only where the latent fires at theta - h and not at theta + h does the loss differ.
        if (!(value > theta - h && value <= theta + h)) continue;
        let [on, off] = [0, 0];
        const firesNow = value > theta;
        for (let c = 0; c < dIn; c++) {
          const contribution = value * (model.decoder[latent * dIn + c] ?? 0);
          const now = residual[row * dIn + c] ?? 0;
          on += (firesNow ? now : now - contribution) ** 2;
          off += (firesNow ? now + contribution : now) ** 2;
        }
        change += off - on - lambda;
      }
      return change / (samples * 2 * h);
    });
  }

  async function stepGradient(bandwidth: number): Promise<Float64Array> {
    const config = parseTrainConfig({
      architecture: "jumprelu",
      dSae,
      batchSize: 1,
      steps: 1,
      learningRate: 1e-3,
      adam: { beta1: 0, beta2: 0.999, epsilon: 1e-8 },
      decoderBias: "zero",
      deadAfterTokens: 1,
      evaluateEvery: 1,
      checkpointEvery: 1,
      sparsity: lambda,
      sparsityWarmup: 0,
      bandwidth,
      initialThreshold: theta,
      thresholdForm: "raw",
    });
    const sum = new Float64Array(dSae);
    const part = 40_000;
    for (let start = 0; start < samples; start += part) {
      const batch = x.subarray(start * dIn, (start + part) * dIn);
      const { gradients } = await gradientsOf({
        device,
        config,
        parameters: model,
        x: batch,
        sparsity: lambda,
        blockRows: 8000,
      });
      for (const [latent, value] of gradients.threshold.entries())
        sum[latent] = (sum[latent] ?? 0) + (value * part) / samples;
    }
    return sum;
  }

  it.each([0.05, 0.2])(
    "is the kernel estimate of the paper's identity, eps = %s",
    async (bandwidth) => {
      // The same samples on both sides; f32 decides a few samples at the window's edge otherwise (about 1e-7 of them), each worth
      // 1 / (N eps) = 5e-5 at most, and sums 20,000 terms.
      expect(await stepGradient(bandwidth)).toBeClose(kernelEstimate(bandwidth), {
        rtol: 1e-4,
        atol: 2e-4,
      });
    },
  );

  it("follows central differences of the mean loss", async () => {
    const gradient = await stepGradient(0.05);
    const differences = meanLossDifferences(0.05);
    // Noise: each is a mean of about N p eps = 7,000 (14,000) terms of spread 0.5, divided by eps (2h): 0.003 and 0.002; the bias
    // of a finite eps and h is below 0.002. Four times the sum in quadrature, while the gradients are 0.05 to 0.3.
    expect(gradient).toBeClose(differences, { rtol: 0, atol: 0.016 });
    expect(Math.max(...differences.map(Math.abs))).toBeGreaterThan(0.08);
  });

  it("would be told apart from a step without lambda", () => {
    const differences = meanLossDifferences(0.05);
    const withoutLambda = kernelEstimate(0.05).map(
      (value, latent) => value + densityAt(latent) * lambda,
    );
    expect(
      Math.max(
        ...withoutLambda.map((value, latent) => Math.abs(value - (differences[latent] ?? 0))),
      ),
    ).toBeGreaterThan(0.05);
  });

  function densityAt(latent: number): number {
    let count = 0;
    for (let row = 0; row < samples; row++)
      count += Math.abs((pre[row * dSae + latent] ?? 0) - theta) < 0.025 ? 1 : 0;
    return count / (samples * 0.05);
  }
});
