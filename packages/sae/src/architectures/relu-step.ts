import {
  add,
  addInto,
  addMatmul,
  affine,
  greater,
  jumpReluDense,
  linear,
  matmul,
  sub,
  sum,
  sumOfSquares,
  type Tensor,
  where,
} from "@latentkit/tensor";
import { rowBlocks } from "../blocks.ts";
import { addOutputGradients, blockOf, type GradientStep, type StepResult } from "../train/step.ts";
import { total } from "./auxiliary.ts";

/** A penalty on the latents of one block of rows. */
export interface ReluPenalty {
  /** Its gradient to the latents `[rows, d_sae]`, or what broadcasts to that; without effect where a latent is 0. */
  readonly dLatents: Tensor;
  /** Scalars to be summed over the blocks. */
  readonly sums: readonly Tensor[];
}

/** What {@link reluStep} gives: a step whose loss is the squared error alone, and the penalty's sums over the batch. */
export interface ReluStepResult extends StepResult {
  readonly sums: readonly number[];
}

/**
 * Gradients of `mean ||x - x^||^2` plus a penalty, for latents `f = ReLU(W_enc (x - b_dec) + b_enc)`, of x itself in a transcoder. By dense products: with a
 * penalty on the activations alone a large share of the latents fires for most of a run.
 */
export async function reluStep(
  step: GradientStep,
  penaltyOf: (latents: Tensor) => ReluPenalty,
): Promise<ReluStepResult> {
  const { device, parameters, gradients, x, blockRows } = step;
  const { dSae } = step.config;
  const batch = x.shape[0] ?? 0;
  using firing = device.zeros([dSae], "i32");
  using zero = device.zeros([dSae]);
  const squared: Tensor[] = [];
  const sums: Tensor[][] = [];
  try {
    for (const [start, end] of rowBlocks(batch, blockRows)) {
      const block = device.scope(() => {
        const own = blockOf(step, start, end);
        const { input, wanted } = own;
        const pre = linear(input, parameters.encoderRows, parameters.encoderBias);
        const latents = jumpReluDense(pre, zero, firing);
        const error = sub(matmul(latents, parameters.decoder), wanted);
        const dOutput = affine(error, { factor: 2 / batch, bias: 0 });
        addMatmul(gradients.decoder, latents, dOutput, { transposeA: true });
        addOutputGradients(step, own, dOutput);
        const penalty = penaltyOf(latents);
        const dLatents = add(linear(dOutput, parameters.decoder), penalty.dLatents);
        const dPre = where(greater(latents, 0), dLatents, 0);
        addMatmul(gradients.encoderRows, dPre, input, { transposeA: true });
        addInto(gradients.encoderBias, sum(dPre, { axis: 0 }));
        return { squaredError: sumOfSquares(error), sums: [...penalty.sums] };
      });
      squared.push(block.squaredError);
      sums.push(block.sums);
    }
    const squaredError = await total(squared);
    const totals: number[] = [];
    for (const index of sums[0]?.keys() ?? [])
      totals.push(await total(sums.flatMap((one) => one[index] ?? [])));
    return {
      loss: squaredError / batch,
      auxiliaryLoss: 0,
      squaredError,
      firing: await firing.integers(),
      sums: totals,
    };
  } finally {
    for (const tensor of [...squared, ...sums.flat()]) tensor.dispose();
  }
}
