import {
  addInto,
  affine,
  linear,
  sparseCountFiring,
  sparseDecode,
  sparseDot,
  type SparseRows,
  sub,
  sum,
  sumOfSquares,
  type Tensor,
} from "@latentkit/tensor";
import { rowBlocks } from "../blocks.ts";
import type { TopKTrainConfig } from "../train/config.ts";
import {
  addOutputGradients,
  addSparseGradients,
  blockOf,
  type GradientStep,
  type StepResult,
} from "../train/step.ts";
import { addAuxiliary, type AuxiliaryBlock, auxiliaryOf, total } from "./auxiliary.ts";

/** How a kind of TopK chooses latents. */
export interface TopKSelection {
  /** The k entries of each row that are kept, of those that are `allowed`. */
  readonly encode: (
    pre: Tensor,
    k: number,
    options?: { readonly allowed?: Tensor | null },
  ) => SparseRows;
  /** The gradient to the kept pre-activations from that to the latents. */
  readonly dPre: (rows: SparseRows, dValues: Tensor) => Tensor;
  /** The rows with a value above 0 wherever a latent is active. */
  readonly magnitudes: (rows: SparseRows) => SparseRows;
}

/** One step of TopK with AuxK, block by block; see `topK` for the loss. */
export async function topKStep(
  step: GradientStep,
  config: Pick<TopKTrainConfig, "auxiliaryK" | "auxiliaryWeight" | "dSae" | "k">,
  selection: TopKSelection,
): Promise<StepResult> {
  const { device, parameters, x, blockRows } = step;
  const [batch = 0] = x.shape;
  const dOut = parameters.decoderBias.size;
  const auxiliary = auxiliaryOf(config, step.dead, dOut);
  using allowed =
    auxiliary === null ? null : device.tensor(Int32Array.from(auxiliary.dead), [config.dSae]);
  using firing = device.zeros([config.dSae], "i32");
  using errorSum = device.zeros([dOut]);
  const squared: Tensor[] = [];
  const kept: AuxiliaryBlock[] = [];
  try {
    for (const [start, end] of rowBlocks(batch, blockRows)) {
      const block = device.scope(() => {
        const own = blockOf(step, start, end);
        const { input, wanted } = own;
        const pre = linear(input, parameters.encoderRows, parameters.encoderBias);
        const rows = selection.encode(pre, config.k);
        const error = sub(sparseDecode(rows, parameters.decoder, null), wanted);
        const dOutput = affine(error, { factor: 2 / (batch * step.variance), bias: 0 });
        const dPre = selection.dPre(rows, sparseDot(rows, parameters.decoder, dOutput));
        addSparseGradients(step.gradients, { rows, dPre, dOutput, input });
        addOutputGradients(step, own, dOutput);
        sparseCountFiring(selection.magnitudes(rows), firing);
        const squaredError = sumOfSquares(error);
        if (auxiliary === null || allowed === null) return { squaredError, auxiliary: null };
        addInto(errorSum, sum(error, { axis: 0 }));
        return {
          squaredError,
          auxiliary: { rows: selection.encode(pre, auxiliary.k, { allowed }), error, input },
        };
      });
      squared.push(block.squaredError);
      if (block.auxiliary !== null) kept.push(block.auxiliary);
    }
    const squaredError = await total(squared);
    const auxiliaryLoss =
      kept.length === 0
        ? 0
        : await addAuxiliary(step, config, kept, {
            squaredError,
            errorSum: await errorSum.floats(),
            dPre: selection.dPre,
          });
    return {
      loss: squaredError / (batch * step.variance) + config.auxiliaryWeight * auxiliaryLoss,
      auxiliaryLoss,
      squaredError,
      firing: await firing.integers(),
    };
  } finally {
    for (const tensor of squared) tensor.dispose();
    for (const { rows, error, input } of kept)
      for (const owned of [rows, error, input]) owned.dispose();
  }
}
