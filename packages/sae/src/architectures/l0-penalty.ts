import { addInto, affine, square, sum, type Tensor } from "@latentkit/tensor";
import type { JumpReluTrainConfig } from "../train/config.ts";
import type { GradientStep } from "../train/step.ts";

/**
 * How a JumpReLU step's sparsity penalty reaches theta. With l the number of active latents of an activation and lambda left out, the
 * penalty is
 *
 * - `"l0"`: mean l (2407.14435), which costs the same for every active latent;
 * - `"quadratic"`: mean (2 / L0*) (l - L0*)^2 (Gemma Scope 2, as SAELens has it), whose gradient to l depends on the activation;
 * - `"relative"`: (mean l / L0* - 1)^2 (dictionary_learning), whose gradient depends on the whole batch.
 *
 * Each is multiplied with the pseudo-derivative of H, -(1/eps) K((pi - theta)/eps).
 */
export interface L0Penalty {
  /** dPenalty/dl where it is one number known beforehand, lambda over the batch; else 0. */
  readonly uniform: number;
  /** `[rows]`: dPenalty/dl of each row of a block, from its l; null where that is not how the penalty works. */
  readonly perRow: ((l0: Tensor) => Tensor) | null;
  /** `[d_sae]`: where blocks add the pseudo-gradient of sum l, for a penalty on the batch's mean; null for other penalties. */
  readonly ofSum: Tensor | null;
  /**
   * Adds what only the whole batch could tell, and gives the penalty times lambda.
   *
   * @param active sum of l over the batch
   * @param squares sum of (l - L0*)^2
   */
  finish(active: number, squares: number): number;
}

/** The penalty of one step. The caller disposes `ofSum`. */
export function l0PenaltyOf(step: GradientStep, config: JumpReluTrainConfig): L0Penalty {
  const { sparsity, device } = step;
  const batch = step.x.shape[0] ?? 0;
  const target = config.targetL0 ?? 1;
  const none = { uniform: 0, perRow: null, ofSum: null };
  if (config.penalty === "quadratic") {
    const factor = (4 * sparsity) / (target * batch);
    return {
      ...none,
      perRow: (l0) => affine(l0, { factor, bias: -factor * target }),
      finish: (_, squares) => (2 * sparsity * squares) / (target * batch),
    };
  }
  if (config.penalty === "relative") {
    const ofSum = device.zeros([config.dSae]);
    return {
      ...none,
      ofSum,
      finish(active) {
        const over = active / (batch * target) - 1;
        const { threshold } = step.gradients;
        if (threshold !== null)
          device.scope(() => {
            const factor = (2 * sparsity * over) / (batch * target);
            addInto(threshold, affine(ofSum, { factor, bias: 0 }));
          });
        return sparsity * over * over;
      },
    };
  }
  return {
    ...none,
    uniform: sparsity / batch,
    finish: (active) => (sparsity * active) / batch,
  };
}

/** Sum of (l - L0*)^2 over a block's rows, a scalar; null for penalties that do not need it. */
export function squaresOf(l0: Tensor, config: JumpReluTrainConfig): Tensor | null {
  if (config.penalty !== "quadratic") return null;
  return sum(square(affine(l0, { factor: 1, bias: -(config.targetL0 ?? 1) })));
}
