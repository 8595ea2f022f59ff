import { ConfigError } from "@latentkit/core";
import {
  affine,
  encodeJumpRelu,
  jumpReluGradient,
  linear,
  sparseCountFiring,
  sparseDecode,
  sparseDot,
  sub,
  sumOfSquares,
  type Tensor,
} from "@latentkit/tensor";
import type { SaeArchitecture } from "../architecture.ts";
import { rowBlocks } from "../blocks.ts";
import type { JumpReluConfig } from "../config.ts";
import type { JumpReluTrainConfig } from "../train/config.ts";
import {
  addOutputBiasGradient,
  addSparseGradients,
  type GradientStep,
  type StepResult,
} from "../train/step.ts";
import { denseJumpReluBlock } from "./jumprelu-dense.ts";

/**
 * JumpReLU (2407.14435): latent i fires where its pre-activation is above its own threshold, `f = pi H(pi - theta)`.
 *
 * Trained on `mean (||x - x^||^2 + lambda ||f||_0)`, squared error summed over d_in. The encoder, the decoder and the biases see
 * the reconstruction alone; theta sees both through the straight-through pseudo-derivatives of section 3, taken on the
 * pre-activation: d/dtheta f = -(theta/eps) K((pi - theta)/eps), d/dtheta H = -(1/eps) K((pi - theta)/eps), K the rectangle.
 */
export const jumpRelu: SaeArchitecture<JumpReluConfig> = {
  name: "jumprelu",
  encode(preActivations, _config, { threshold }) {
    if (threshold === null) throw missingThreshold();
    // Without a kernel to have gradients within, only what fires is kept.
    const { rows, preActivations: kept } = encodeJumpRelu(preActivations, threshold, {
      bandwidth: 0,
    });
    kept.dispose();
    return rows;
  },
  gradients,
};

async function gradients(step: GradientStep): Promise<StepResult> {
  const { device, x, blockRows } = step;
  // The registry hands each architecture its own member of the union.
  const config = step.config as JumpReluTrainConfig;
  const batch = x.shape[0] ?? 0;
  const firing = device.zeros([config.dSae], "i32");
  const squared: Tensor[] = [];
  try {
    for (const [start, end] of rowBlocks(batch, blockRows)) {
      squared.push(
        device.scope(() =>
          (step.dense ? denseJumpReluBlock : sparseBlock)(step, config, x.rows(start, end), firing),
        ),
      );
    }
    let squaredError = 0;
    for (const scalar of squared) squaredError += await scalar.item();
    const counts = await firing.integers();
    let active = 0;
    for (const count of counts) active += count;
    return {
      loss: (squaredError + step.sparsity * active) / batch,
      auxiliaryLoss: 0,
      squaredError,
      firing: counts,
    };
  } finally {
    for (const tensor of [...squared, firing]) tensor.dispose();
  }
}

/** One block of rows by sparse operators. Returns the block's squared error. */
function sparseBlock(
  step: GradientStep,
  config: JumpReluTrainConfig,
  target: Tensor,
  firing: Tensor,
): Tensor {
  const { parameters, sparsity } = step;
  const { threshold } = parameters;
  const dThreshold = step.gradients.threshold;
  if (threshold === null || dThreshold === null) throw missingThreshold();
  const batch = step.x.shape[0] ?? 0;
  const { bandwidth } = config;
  const input = sub(target, parameters.decoderBias);
  const pre = linear(input, parameters.encoderRows, parameters.encoderBias);
  const { rows, preActivations } = encodeJumpRelu(pre, threshold, { bandwidth });
  pre.dispose();
  const error = sub(sparseDecode(rows, parameters.decoder, parameters.decoderBias), target);
  const dOutput = affine(error, { factor: 2 / batch, bias: 0 });
  const dValues = sparseDot(rows, parameters.decoder, dOutput);
  const dPre = jumpReluGradient({
    rows,
    preActivations,
    threshold,
    bandwidth,
    sparsity: sparsity / batch,
    dValues,
    dThreshold,
  });
  addSparseGradients(step.gradients, { rows, dPre, dOutput, input });
  addOutputBiasGradient(step.gradients, dOutput);
  sparseCountFiring(rows, firing);
  return sumOfSquares(error);
}

function missingThreshold(): ConfigError {
  return new ConfigError({
    code: "SAE_CONFIG_INVALID",
    message: "a JumpReLU SAE was given no threshold",
    fix: "give a threshold tensor",
  });
}
