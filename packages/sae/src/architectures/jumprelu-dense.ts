import { ConfigError } from "@latentkit/core";
import {
  addInto,
  addMatmul,
  affine,
  jumpReluDense,
  jumpReluDenseGradient,
  greater,
  linear,
  matmul,
  mul,
  reciprocal,
  sub,
  sum,
  sumOfSquares,
  where,
} from "@latentkit/tensor";
import type { JumpReluTrainConfig } from "../train/config.ts";
import { addOutputGradients, type GradientStep } from "../train/step.ts";
import type { JumpReluBlock, JumpReluBlockResult } from "./jumprelu.ts";
import { squaresOf } from "./l0-penalty.ts";

/**
 * One block of a JumpReLU step by dense matrix products, for the first steps of a run, when a third of all latents may fire:
 * then four products of the size of the encoder's are much faster than touching the latents one by one. The gradients are
 * those of the sparse path, up to rounding.
 */
export function denseJumpReluBlock(
  step: GradientStep,
  config: JumpReluTrainConfig,
  block: JumpReluBlock,
): JumpReluBlockResult {
  const { parameters, gradients } = step;
  const { penalty } = block;
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
  const { input, wanted } = block;
  const pre = linear(input, parameters.encoderRows, parameters.encoderBias);
  const latents = jumpReluDense(pre, threshold, block.firing);
  const error = sub(matmul(latents, parameters.decoder), wanted);
  const dOutput = affine(error, { factor: 2 / batch, bias: 0 });
  addMatmul(gradients.decoder, latents, dOutput, { transposeA: true });
  // Counted only where somebody asks.
  const l0 =
    config.penalty === "quadratic" ? sum(where(greater(latents, 0), 1, 0), { axis: 1 }) : null;
  latents.dispose();

  const dPre = linear(dOutput, parameters.decoder);
  jumpReluDenseGradient({
    pre,
    threshold,
    bandwidth,
    sparsity: penalty.uniform,
    dValues: dPre,
    dThreshold,
  });
  const dL0 = l0 === null ? null : (penalty.perRow?.(l0) ?? null);
  if (dL0 !== null) {
    // The pseudo-gradient of f is theta times that of H, so a gradient of dL0 to H is one of dL0 / theta to f.
    const dValues = mul(dL0.reshape([dL0.size, 1]), reciprocal(threshold));
    jumpReluDenseGradient({ pre, threshold, bandwidth, sparsity: 0, dValues, dThreshold });
  }
  if (penalty.ofSum !== null) {
    const dValues = pre.device.zeros(pre.shape);
    const into = { dValues, dThreshold: penalty.ofSum };
    jumpReluDenseGradient({ pre, threshold, bandwidth, sparsity: 1, ...into });
  }
  pre.dispose();
  addMatmul(gradients.encoderRows, dPre, input, { transposeA: true });
  addInto(gradients.encoderBias, sum(dPre, { axis: 0 }));
  addOutputGradients(step, block, dOutput);
  return {
    squaredError: sumOfSquares(error),
    squares: l0 === null ? null : squaresOf(l0, config),
  };
}
