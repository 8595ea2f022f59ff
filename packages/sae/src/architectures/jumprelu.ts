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
  addOutputGradients,
  addSparseGradients,
  blockOf,
  type GradientStep,
  type StepBlock,
  type StepResult,
} from "../train/step.ts";
import { total } from "./auxiliary.ts";
import { denseJumpReluBlock } from "./jumprelu-dense.ts";
import { type L0Penalty, l0PenaltyOf, squaresOf } from "./l0-penalty.ts";

/**
 * JumpReLU (2407.14435): latent i fires where its pre-activation is above its own threshold, `f = pi H(pi - theta)`.
 *
 * Trained on `mean (||x - x^||^2 + lambda ||f||_0)`, squared error summed over d_in, or with a penalty that aims at an L0, or at latents
 * that fire often (see `L0Penalty`). The encoder, the decoder and the biases see
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

/** Rows of a batch with what all blocks share. */
export interface JumpReluBlock extends StepBlock {
  /** i32 `[d_sae]`: how often each latent fired is added. */
  readonly firing: Tensor;
  readonly penalty: L0Penalty;
}

/** Scalars of one block. */
export interface JumpReluBlockResult {
  readonly squaredError: Tensor;
  /** Sum of (l - L0*)^2, where the penalty needs it. */
  readonly squares: Tensor | null;
}

async function gradients(step: GradientStep): Promise<StepResult> {
  const { device, x, blockRows } = step;
  // The registry hands each architecture its own member of the union.
  const config = step.config as JumpReluTrainConfig;
  const batch = x.shape[0] ?? 0;
  using firing = device.zeros([config.dSae], "i32");
  const penalty = l0PenaltyOf(step, config);
  const squared: Tensor[] = [];
  const squares: Tensor[] = [];
  try {
    for (const [start, end] of rowBlocks(batch, blockRows)) {
      const block = device.scope(() =>
        (step.dense ? denseJumpReluBlock : sparseBlock)(step, config, {
          ...blockOf(step, start, end),
          firing,
          penalty,
        }),
      );
      squared.push(block.squaredError);
      if (block.squares !== null) squares.push(block.squares);
    }
    const squaredError = await total(squared);
    const counts = await firing.integers();
    return {
      loss: squaredError / batch + penalty.finish(counts, await total(squares)),
      auxiliaryLoss: 0,
      squaredError,
      firing: counts,
    };
  } finally {
    for (const tensor of [...squared, ...squares, penalty.ofSum]) tensor?.dispose();
  }
}

/** One block of rows by sparse operators. */
function sparseBlock(
  step: GradientStep,
  config: JumpReluTrainConfig,
  block: JumpReluBlock,
): JumpReluBlockResult {
  const { parameters } = step;
  const { penalty } = block;
  const { threshold } = parameters;
  const dThreshold = step.gradients.threshold;
  if (threshold === null || dThreshold === null) throw missingThreshold();
  const batch = step.x.shape[0] ?? 0;
  const { bandwidth } = config;
  const { input, wanted } = block;
  const pre = linear(input, parameters.encoderRows, parameters.encoderBias);
  const { rows, preActivations, l0 } = encodeJumpRelu(pre, threshold, { bandwidth });
  pre.dispose();
  const error = sub(sparseDecode(rows, parameters.decoder, null), wanted);
  const dOutput = affine(error, { factor: 2 / batch, bias: 0 });
  const dValues = sparseDot(rows, parameters.decoder, dOutput);
  const dPre = jumpReluGradient({
    rows,
    preActivations,
    threshold,
    bandwidth,
    sparsity: penalty.uniform,
    dL0: penalty.perRow?.(l0),
    dValues,
    dThreshold,
  });
  if (penalty.ofSum !== null)
    jumpReluGradient({
      rows,
      preActivations,
      threshold,
      bandwidth,
      sparsity: 1,
      dValues: affine(rows.values, { factor: 0, bias: 0 }),
      dThreshold: penalty.ofSum,
    });
  addSparseGradients(step.gradients, { rows, dPre, dOutput, input });
  addOutputGradients(step, block, dOutput);
  sparseCountFiring(rows, block.firing);
  return { squaredError: sumOfSquares(error), squares: squaresOf(l0, config) };
}

function missingThreshold(): ConfigError {
  return new ConfigError({
    code: "SAE_CONFIG_INVALID",
    message: "a JumpReLU SAE was given no threshold",
    fix: "give a threshold tensor",
  });
}
