import { ConfigError } from "@latentkit/core";
import {
  abs,
  addInto,
  affine,
  linear,
  matmul,
  maximum,
  minimum,
  mul,
  sub,
  sum,
  sumOfSquares,
  type Tensor,
} from "@latentkit/tensor";
import type { JumpReluTrainConfig } from "../train/config.ts";
import { addOutputBiasGradient, type GradientStep } from "../train/step.ts";

/**
 * One block of a JumpReLU step by dense matrix products, for the first steps of a run, when a third of all latents may fire:
 * then four products of the size of the encoder's are much faster than touching the latents one by one. The gradients are
 * those of the sparse path, up to rounding.
 *
 * @returns the block's squared error
 */
export function denseJumpReluBlock(
  step: GradientStep,
  config: JumpReluTrainConfig,
  target: Tensor,
  firing: Tensor,
): Tensor {
  const { parameters, gradients, sparsity } = step;
  const { threshold } = parameters;
  if (threshold === null || gradients.threshold === null) {
    throw new ConfigError({
      code: "SAE_CONFIG_INVALID",
      message: "a JumpReLU SAE was given no threshold",
      fix: "give a threshold tensor",
    });
  }
  const batch = step.x.shape[0] ?? 0;
  const { bandwidth } = config;
  const input = sub(target, parameters.decoderBias);
  const pre = linear(input, parameters.encoderRows, parameters.encoderBias);
  const margin = sub(pre, threshold);
  const fires = isPositive(margin, 1, 0);
  const latents = mul(pre, fires);
  pre.dispose();
  // 1 where |pre - theta| < eps / 2.
  const inWindow = isPositive(abs(margin), -1, bandwidth / 2);
  margin.dispose();

  const output = matmul(latents, parameters.decoder);
  // (W_dec f + b_dec) - x, of which `input` already holds x - b_dec.
  const error = sub(output, input);
  const dOutput = affine(error, { factor: 2 / batch, bias: 0 });
  const dLatents = linear(dOutput, parameters.decoder);
  const dPre = mul(dLatents, fires);

  addInto(gradients.decoder, matmul(latents, dOutput, { transposeA: true }));
  addInto(gradients.encoderRows, matmul(dPre, input, { transposeA: true }));
  addInto(gradients.encoderBias, sum(dPre, { axis: 0 }));
  addOutputBiasGradient(gradients, dOutput);
  const throughLatent = mul(
    sum(mul(dLatents, inWindow), { axis: 0 }),
    affine(threshold, { factor: -1 / bandwidth, bias: 0 }),
  );
  const throughCount = affine(sum(inWindow, { axis: 0 }), {
    factor: -sparsity / (batch * bandwidth),
    bias: 0,
  });
  addInto(gradients.threshold, throughLatent);
  addInto(gradients.threshold, throughCount);
  addInto(firing, sum(fires, { axis: 0 }));
  return sumOfSquares(error);
}

/**
 * 1 where `x * sign + offset` > 0, else 0, from elementwise operators: a difference of two floats of ordinary size is 0 or far
 * above 1e-30, so scaling it by 1e30 and clipping to [0, 1] is exact.
 */
function isPositive(x: Tensor, sign: 1 | -1, offset: number): Tensor {
  return minimum(maximum(affine(x, { factor: sign * 1e30, bias: offset * 1e30 }), 0), 1);
}
