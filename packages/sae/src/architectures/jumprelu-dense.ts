import { ConfigError } from "@latentkit/core";
import {
  addInto,
  addMatmul,
  affine,
  jumpReluDense,
  jumpReluDenseGradient,
  linear,
  matmul,
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
  const dThreshold = gradients.threshold;
  if (threshold === null || dThreshold === null) {
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
  const latents = jumpReluDense(pre, threshold, firing);
  // (W_dec f + b_dec) - x, of which `input` already holds x - b_dec.
  const error = sub(matmul(latents, parameters.decoder), input);
  const dOutput = affine(error, { factor: 2 / batch, bias: 0 });
  addMatmul(gradients.decoder, latents, dOutput, { transposeA: true });
  latents.dispose();

  const dPre = linear(dOutput, parameters.decoder);
  jumpReluDenseGradient({
    pre,
    threshold,
    bandwidth,
    sparsity: sparsity / batch,
    dValues: dPre,
    dThreshold,
  });
  pre.dispose();
  addMatmul(gradients.encoderRows, dPre, input, { transposeA: true });
  addInto(gradients.encoderBias, sum(dPre, { axis: 0 }));
  addOutputBiasGradient(gradients, dOutput);
  return sumOfSquares(error);
}
