import { addInto, affine, div, maximum, mul, norm, sum, type Tensor } from "@latentkit/tensor";
import type { StandardTrainConfig } from "../train/kinds.ts";
import type { GradientStep, StepResult } from "../train/step.ts";
import type { TrainingArchitecture } from "../train/training-architecture.ts";
import { type ReluPenalty, reluStep } from "./relu-step.ts";
import { withZeroThreshold } from "./threshold-forms.ts";

/**
 * ReLU with an L1 penalty, `f = ReLU(W_enc (x - b_dec) + b_enc)`, in both styles:
 *
 * - `decoderNorm: "unit"` (Towards Monosemanticity): `mean (||x - x^||^2 + lambda sum f)`, rows of W_dec kept at unit norm;
 * - `decoderNorm: "free"` (April 2024): `mean (||x - x^||^2 + lambda sum f_i ||d_i||)`, rows of any norm, which start at 0.1, and
 *   whose norm the encoder takes over at export.
 *
 * W_enc starts as W_dec^T. For inference it is a JumpReLU of threshold 0, which is exactly a ReLU.
 */
export const standard: TrainingArchitecture = {
  name: "standard",
  decoderRows(config) {
    // The registry hands each architecture its own member of the union.
    const { decoderNorm, initialDecoderNorm } = config as StandardTrainConfig;
    return decoderNorm === "unit"
      ? { unit: true, initialNorm: 1 }
      : { unit: false, initialNorm: initialDecoderNorm ?? 0.1 };
  },
  gradients,
  inferenceForm: ({ weights }) => withZeroThreshold(weights),
};

async function gradients(step: GradientStep): Promise<StepResult> {
  // As above.
  const { decoderNorm } = step.config as StandardTrainConfig;
  const batch = step.x.shape[0] ?? 0;
  const weight = step.sparsity / batch;
  const { sums, ...result } = await reluStep(
    step,
    decoderNorm === "unit"
      ? (latents) => ({ dLatents: step.device.full([1], weight), sums: [sum(latents)] })
      : (latents) => byDecoderNorm(step, latents, weight),
  );
  return { ...result, loss: result.loss + weight * (sums[0] ?? 0) };
}

/** weight * sum f_i ||d_i||, whose gradient to d_i is weight * (sum over rows of f_i) d_i / ||d_i||. */
function byDecoderNorm(step: GradientStep, latents: Tensor, weight: number): ReluPenalty {
  const { decoder } = step.parameters;
  const norms = norm(decoder, { axis: 1 });
  const fired = sum(latents, { axis: 0 });
  // A row of norm 0 has no direction: its gradient is taken as 0.
  const factors = affine(div(fired, maximum(norms, 1e-30)), { factor: weight, bias: 0 });
  addInto(step.gradients.decoder, mul(decoder, factors.reshape([factors.size, 1])));
  return { dLatents: affine(norms, { factor: weight, bias: 0 }), sums: [sum(mul(fired, norms))] };
}
