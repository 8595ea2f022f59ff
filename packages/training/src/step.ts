import type { LanguageModel } from "@latentkit/models";
import {
  add,
  clipByGlobalNorm,
  GradientAccumulator,
  mul,
  type Optimiser,
  type Tensor,
  valueAndGrad,
} from "@latentkit/tensor";
import type { TrainingContext } from "./contexts.ts";
import type { TrainingConfig } from "./config.ts";
import { countTargets, summedLoss } from "./loss.ts";

/** A model's weights by their Hugging Face names. */
export type Weights = Record<string, Tensor>;

/** What a step leaves on the device, each of shape []; the caller disposes both. */
export interface StepResult {
  /** Mean loss of the batch's targets before the step. */
  readonly loss: Tensor;
  /** Global norm of its gradient before clipping. */
  readonly norm: Tensor;
}

/**
 * One optimiser step over a batch, in micro-batches: the gradient is that of the mean over all targets of the batch, however they
 * are spread over the contexts.
 */
export function trainStep(
  model: LanguageModel,
  weights: Weights,
  optimiser: Optimiser<Weights>,
  contexts: readonly TrainingContext[],
  { microBatch, zLoss, clip }: TrainingConfig,
): StepResult {
  const { device } = model;
  const pieces = Math.ceil(contexts.length / microBatch);
  // The accumulator's mean divides by the number of pieces.
  const scale = pieces / Math.max(1, countTargets(contexts));
  const lossAndGradients = valueAndGrad((_: Weights, piece: readonly TrainingContext[]) =>
    summedLoss(model, piece, { scale, zLoss }),
  );
  return device.scope(() => {
    if (pieces === 1) {
      const { value, gradients } = lossAndGradients(weights, contexts);
      return update(optimiser, gradients, value, clip);
    }
    using accumulator = new GradientAccumulator<Weights>();
    let loss: Tensor | null = null;
    for (let start = 0; start < contexts.length; start += microBatch) {
      const before: Tensor | null = loss;
      loss = device.scope(() => {
        const piece = lossAndGradients(weights, contexts.slice(start, start + microBatch));
        accumulator.add(piece.gradients);
        const part = mul(piece.value, 1 / pieces);
        return before === null ? part : add(before, part);
      });
    }
    const gradients = accumulator.mean();
    return update(optimiser, gradients, loss ?? device.zeros([]), clip);
  });
}

function update(
  optimiser: Optimiser<Weights>,
  gradients: Weights,
  loss: Tensor,
  clip: number,
): StepResult {
  const { norm, scale } = clipByGlobalNorm(gradients, clip);
  optimiser.step(gradients, { gradientScale: scale });
  return { loss, norm };
}
