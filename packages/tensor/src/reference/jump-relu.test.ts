import { Random } from "@latentkit/core";
import { afterAll, describe, expect, it } from "vitest";
import { Device } from "../device.ts";
import { mul, sub } from "../operators/arithmetic.ts";
import { encodeJumpRelu } from "../operators/sparse-encode.ts";
import { jumpReluGradient } from "../operators/sparse-gradients.ts";
import { sparseDecode, sparseDot } from "../operators/sparse-products.ts";
import { registerMatchers } from "../testing/matchers.ts";
import { createReferenceBackend } from "./backend.ts";

registerMatchers(expect);

// The threshold's gradient exists only in expectation (2407.14435, section 3 and appendix B): a single sample's loss jumps at the
// threshold. So it is tested on a large Gaussian sample, against the kernel-density estimate that it is meant to be, and against
// finite differences of the mean loss.
const [samples, latents, features] = [120_000, 6, 4];
const [theta, lambda, bandwidth] = [0.5, 0.3, 0.1];

const random = new Random(17);
const x = random.fillNormal(new Float32Array(samples * features));
const encoder = random.fillNormal(new Float32Array(latents * features), 0.6);
const decoder = random.fillNormal(new Float32Array(latents * features), 0.5);

/** Pre-activations, rounded to f32 as the device has them. */
const pre = Float32Array.from({ length: samples * latents }, (_, index) => {
  const [sample, latent] = [Math.floor(index / latents), index % latents];
  let sum = 0;
  for (let i = 0; i < features; i++)
    sum += at(x, sample * features + i) * at(encoder, latent * features + i);
  return sum;
});

function at(array: Float32Array, index: number): number {
  return array[index] ?? Number.NaN;
}

/** `x - decode` of one sample. */
function residual(sample: number, thresholds: readonly number[]): Float64Array {
  const rest = Float64Array.from(x.subarray(sample * features, (sample + 1) * features));
  for (let latent = 0; latent < latents; latent++) {
    const value = at(pre, sample * latents + latent);
    if (value > (thresholds[latent] ?? 0))
      for (let i = 0; i < features; i++)
        rest[i] = (rest[i] ?? 0) - value * at(decoder, latent * features + i);
  }
  return rest;
}

/** Mean over the sample of `||x - decode||^2 + lambda ||f||_0`, in f64. */
function meanLoss(thresholds: readonly number[]): number {
  let total = 0;
  for (let sample = 0; sample < samples; sample++) {
    for (const value of residual(sample, thresholds)) total += value * value;
    for (let latent = 0; latent < latents; latent++)
      if (at(pre, sample * latents + latent) > (thresholds[latent] ?? 0)) total += lambda;
  }
  return total / samples;
}

const thresholds = new Array<number>(latents).fill(theta);

/** (1 / (N eps)) sum_a (I_i(x_a) - lambda) K((pi_i(x_a) - theta) / eps), with I_i = 2 theta d_i . (x - decode). */
function densityEstimate(): Float64Array {
  const estimate = new Float64Array(latents);
  for (let sample = 0; sample < samples; sample++) {
    const rest = residual(sample, thresholds);
    for (let latent = 0; latent < latents; latent++) {
      if (!(Math.abs(at(pre, sample * latents + latent) - theta) < bandwidth / 2)) continue;
      const importance =
        2 *
        theta *
        rest.reduce((sum, value, i) => sum + value * at(decoder, latent * features + i), 0);
      estimate[latent] = (estimate[latent] ?? 0) + (importance - lambda) / (samples * bandwidth);
    }
  }
  return estimate;
}

describe("jumpReluGradient on a Gaussian sample", () => {
  const device = new Device(createReferenceBackend());
  afterAll(() => device.dispose());

  /** The kernels' gradient to the thresholds, with the loss's mean over samples. */
  async function kernelGradient(): Promise<Float32Array> {
    const result = device.scope(() => {
      const [input, weight, threshold] = [
        device.tensor(x, [samples, features]),
        device.tensor(decoder, [latents, features]),
        device.full([latents], theta),
      ];
      const encoded = encodeJumpRelu(device.tensor(pre, [samples, latents]), threshold, {
        bandwidth,
      });
      const dReconstruction = mul(
        sub(sparseDecode(encoded.rows, weight, null), input),
        2 / samples,
      );
      const dValues = sparseDot(encoded.rows, weight, dReconstruction);
      const dThreshold = device.zeros([latents]);
      jumpReluGradient({
        ...encoded,
        threshold,
        bandwidth,
        sparsity: lambda / samples,
        dValues,
        dThreshold,
      });
      return dThreshold;
    });
    const values = await result.floats();
    result.dispose();
    return values;
  }

  it("equals the kernel-density estimate of the expected loss's gradient", async () => {
    expect(await kernelGradient()).toBeClose(densityEstimate(), { rtol: 1e-5, atol: 1e-6 });
  });

  it("approximates the central finite difference of the mean loss", async () => {
    const h = bandwidth / 2;
    const differences = thresholds.map(
      (_, latent) =>
        (meanLoss(thresholds.with(latent, theta + h)) -
          meanLoss(thresholds.with(latent, theta - h))) /
        (2 * h),
    );
    const gradient = await kernelGradient();
    // Sampling noise is theta^2 |d|^2 sqrt(p / (N eps)), about 0.0015; the bias of this bandwidth is of the same size.
    const atol = 0.008;
    expect(gradient).toBeClose(differences, { rtol: 0, atol });
    // Half of the sparsity term, which is what a step taken on activations instead of pre-activations loses, is far larger.
    for (let latent = 0; latent < latents; latent++) {
      const inWindow = pre.filter(
        (value, index) => index % latents === latent && Math.abs(value - theta) < h,
      ).length;
      expect((lambda / 2) * (inWindow / (samples * bandwidth))).toBeGreaterThan(4 * atol);
    }
  });
});
