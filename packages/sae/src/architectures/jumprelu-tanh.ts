import { ConfigError } from "@latentkit/core";
import {
  abs,
  add,
  addInto,
  addMatmul,
  affine,
  div,
  jumpReluDense,
  jumpReluDenseGradient,
  clone,
  less,
  linear,
  matmul,
  maximum,
  mul,
  norm,
  relu,
  sub,
  sum,
  sumOfSquares,
  tanh,
  type Tensor,
  where,
} from "@latentkit/tensor";
import { rowBlocks } from "../blocks.ts";
import type { JumpReluTanhTrainConfig } from "../train/kinds.ts";
import {
  addOutputGradients,
  blockOf,
  type GradientStep,
  type StepBlock,
  type StepResult,
} from "../train/step.ts";
import type { TrainingArchitecture } from "../train/training-architecture.ts";
import { total } from "./auxiliary.ts";
import { jumpReluForm } from "./threshold-forms.ts";

/**
 * JumpReLU with a tanh penalty (Anthropic, January 2025), rows of W_dec of any norm:
 *
 * `mean (||x - x^||^2 + lambda sum tanh(c f_i ||d_i||) + mu sum ReLU(theta_i - pi_i) ||d_i||)`, the last term for all latents or for
 * the dead ones alone (as SAELens has it), so that silent latents find their way back.
 *
 * theta has the pseudo-derivative of f, -(theta/eps) K((pi - theta)/eps), K the rectangle; with `gradientToInput` the
 * pre-activations have its negative beside H(pi - theta), since the jump depends on pi - theta only.
 */
export const jumpReluTanh: TrainingArchitecture = {
  name: "jumprelu_tanh",
  decoderRows: (config) => ({
    unit: false,
    // The registry hands each architecture its own member of the union.
    initialNorm: (config as JumpReluTanhTrainConfig).initialDecoderNorm,
  }),
  gradients: tanhStep,
  inferenceForm: ({ weights }) => jumpReluForm(weights),
};

/** What a block needs beside the step. */
interface TanhBlock {
  readonly own: StepBlock;
  readonly firing: Tensor;
  /** 1 for latents that the pre-activation term is for, `[d_sae]`; null for none. */
  readonly reached: Tensor | null;
}

async function tanhStep(step: GradientStep): Promise<StepResult> {
  const { device, x, blockRows } = step;
  // As above.
  const config = step.config as JumpReluTanhTrainConfig;
  const batch = x.shape[0] ?? 0;
  using firing = device.zeros([config.dSae], "i32");
  using reached = reachedOf(step, config);
  const squared: Tensor[] = [];
  const penalties: Tensor[] = [];
  const auxiliaries: Tensor[] = [];
  try {
    for (const [start, end] of rowBlocks(batch, blockRows)) {
      const block = device.scope(() =>
        tanhBlock(step, config, { own: blockOf(step, start, end), firing, reached }),
      );
      squared.push(block.squaredError);
      penalties.push(block.penalty);
      auxiliaries.push(block.auxiliary);
    }
    const squaredError = await total(squared);
    const auxiliaryLoss = (await total(auxiliaries)) / batch;
    return {
      loss:
        (squaredError + step.sparsity * (await total(penalties))) / batch +
        config.preActivationWeight * auxiliaryLoss,
      auxiliaryLoss,
      squaredError,
      firing: await firing.integers(),
    };
  } finally {
    for (const tensor of [...squared, ...penalties, ...auxiliaries]) tensor.dispose();
  }
}

function tanhBlock(
  step: GradientStep,
  config: JumpReluTanhTrainConfig,
  { own, firing, reached }: TanhBlock,
): { readonly squaredError: Tensor; readonly penalty: Tensor; readonly auxiliary: Tensor } {
  const { parameters, gradients } = step;
  const { decoder, threshold } = parameters;
  const dThreshold = gradients.threshold;
  if (threshold === null || dThreshold === null) throw missingThreshold();
  const batch = step.x.shape[0] ?? 0;
  const { bandwidth, tanhScale, gradientToInput } = config;
  const { input, wanted } = own;
  const pre = linear(input, parameters.encoderRows, parameters.encoderBias);
  const latents = jumpReluDense(pre, threshold, firing);
  const error = sub(matmul(latents, decoder), wanted);
  const dOutput = affine(error, { factor: 2 / batch, bias: 0 });
  addMatmul(gradients.decoder, latents, dOutput, { transposeA: true });
  addOutputGradients(step, own, dOutput);

  const norms = norm(decoder, { axis: 1 });
  const squashed = tanh(affine(mul(latents, norms), { factor: tanhScale, bias: 0 }));
  // d tanh(c f w): times c w to f, times c f to w.
  const slope = affine(mul(squashed, squashed), { factor: -1, bias: 1 });
  const weight = (step.sparsity / batch) * tanhScale;
  const dLatents = add(
    linear(dOutput, decoder),
    affine(mul(slope, norms), { factor: weight, bias: 0 }),
  );
  let dNorms = affine(sum(mul(slope, latents), { axis: 0 }), { factor: weight, bias: 0 });

  let dPre = clone(dLatents);
  jumpReluDenseGradient({ pre, threshold, bandwidth, sparsity: 0, dValues: dPre, dThreshold });
  if (gradientToInput) {
    const near = less(abs(sub(pre, threshold)), bandwidth / 2);
    const jump = mul(dLatents, affine(threshold, { factor: 1 / bandwidth, bias: 0 }));
    dPre = add(dPre, where(near, jump, 0));
  }
  let auxiliary = affine(sum(latents), { factor: 0, bias: 0 });
  if (reached !== null) {
    const missing = mul(relu(sub(threshold, pre)), reached);
    auxiliary = sum(mul(missing, norms));
    const factor = config.preActivationWeight / batch;
    const below = where(less(pre, threshold), mul(reached, norms), 0);
    dPre = add(dPre, affine(below, { factor: -factor, bias: 0 }));
    addInto(dThreshold, affine(sum(below, { axis: 0 }), { factor, bias: 0 }));
    dNorms = add(dNorms, affine(sum(missing, { axis: 0 }), { factor, bias: 0 }));
  }
  // A row of norm 0 has no direction: its gradient is taken as 0.
  const along = div(dNorms, maximum(norms, 1e-30));
  addInto(gradients.decoder, mul(decoder, along.reshape([along.size, 1])));
  addMatmul(gradients.encoderRows, dPre, input, { transposeA: true });
  addInto(gradients.encoderBias, sum(dPre, { axis: 0 }));
  return { squaredError: sumOfSquares(error), penalty: sum(squashed), auxiliary };
}

function reachedOf(step: GradientStep, config: JumpReluTanhTrainConfig): Tensor | null {
  if (config.preActivationWeight === 0) return null;
  if (config.preActivationOn === "all") return step.device.full([config.dSae], 1);
  return step.dead === null
    ? null
    : step.device.tensor(Float32Array.from(step.dead), [config.dSae]);
}

function missingThreshold(): ConfigError {
  return new ConfigError({
    code: "SAE_CONFIG_INVALID",
    message: "a JumpReLU SAE was given no threshold",
    fix: "give a threshold tensor",
  });
}
