import {
  addInto,
  affine,
  encodeTopK,
  linear,
  reluGradient,
  sparseCountFiring,
  sparseDecode,
  sparseDot,
  sub,
  sum,
  sumOfSquares,
  type Tensor,
} from "@latentkit/tensor";
import type { SaeArchitecture } from "../architecture.ts";
import { rowBlocks } from "../blocks.ts";
import type { TopKConfig } from "../config.ts";
import type { TopKTrainConfig } from "../train/config.ts";
import {
  addOutputBiasGradient,
  addSparseGradients,
  type GradientStep,
  type StepResult,
} from "../train/step.ts";
import { addAuxiliary, type AuxiliaryBlock, auxiliaryOf, total } from "./auxiliary.ts";

/**
 * TopK (2406.04093): the k largest pre-activations of each token, then ReLU.
 *
 * Trained on `mean ||x - x^||^2 / Var(x) + alpha * mean ||e - W_dec z||^2 / Var(e)`, where e = x - x^ without gradient, z the
 * k_aux largest pre-activations among dead latents after ReLU, decoded without b_dec (as OpenAI's code does), Var(x) the total
 * variance of a sample taken before training, Var(e) that of the batch's residual. No gradient clipping.
 */
export const topK: SaeArchitecture<TopKConfig> = {
  name: "topk",
  encode: (preActivations, config) => encodeTopK(preActivations, config.k),
  gradients,
  inferenceForm: ({ weights }, config) => ({
    // The registry hands each architecture its own member of the union.
    kind: { architecture: "topk", k: (config as TopKTrainConfig).k },
    weights,
  }),
};

async function gradients(step: GradientStep): Promise<StepResult> {
  const { device, parameters, x, blockRows } = step;
  // The registry hands each architecture its own member of the union.
  const config = step.config as TopKTrainConfig;
  const [batch = 0, dIn = 0] = x.shape;
  const auxiliary = auxiliaryOf(config, step.dead, dIn);
  const allowed =
    auxiliary === null ? null : device.tensor(Int32Array.from(auxiliary.dead), [config.dSae]);
  const firing = device.zeros([config.dSae], "i32");
  const errorSum = device.zeros([dIn]);
  const squared: Tensor[] = [];
  const kept: AuxiliaryBlock[] = [];
  try {
    for (const [start, end] of rowBlocks(batch, blockRows)) {
      const block = device.scope(() => {
        const target = x.rows(start, end);
        const input = sub(target, parameters.decoderBias);
        const pre = linear(input, parameters.encoderRows, parameters.encoderBias);
        const rows = encodeTopK(pre, config.k);
        const error = sub(sparseDecode(rows, parameters.decoder, parameters.decoderBias), target);
        const dOutput = affine(error, { factor: 2 / (batch * step.variance), bias: 0 });
        const dPre = reluGradient(rows, sparseDot(rows, parameters.decoder, dOutput));
        addSparseGradients(step.gradients, { rows, dPre, dOutput, input });
        addOutputBiasGradient(step.gradients, dOutput);
        sparseCountFiring(rows, firing);
        const squaredError = sumOfSquares(error);
        if (auxiliary === null || allowed === null) return { squaredError, auxiliary: null };
        addInto(errorSum, sum(error, { axis: 0 }));
        return {
          squaredError,
          auxiliary: { rows: encodeTopK(pre, auxiliary.k, { allowed }), error, input },
        };
      });
      squared.push(block.squaredError);
      if (block.auxiliary !== null) kept.push(block.auxiliary);
    }
    const squaredError = await total(squared);
    const auxiliaryLoss =
      kept.length === 0
        ? 0
        : await addAuxiliary(step, config, kept, squaredError, await errorSum.floats());
    return {
      loss: squaredError / (batch * step.variance) + config.auxiliaryWeight * auxiliaryLoss,
      auxiliaryLoss,
      squaredError,
      firing: await firing.integers(),
    };
  } finally {
    for (const tensor of [...squared, firing, errorSum, allowed]) tensor?.dispose();
    for (const { rows, error, input } of kept)
      for (const owned of [rows, error, input]) owned.dispose();
  }
}
