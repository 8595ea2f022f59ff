import { addInto, affine, mul, square, sum, type Tensor } from "@latentkit/tensor";
import type { JumpReluTrainConfig } from "../train/config.ts";
import type { GradientStep } from "../train/step.ts";

/**
 * How a JumpReLU step's sparsity penalty reaches theta. With l the number of active latents of an activation, p_i the share of the batch
 * on which latent i fires, and lambda left out, the penalty is
 *
 * - `"l0"`: mean l (2407.14435), which costs the same for every active latent;
 * - `"quadratic"`: mean (2 / L0*) (l - L0*)^2 (Gemma Scope 2, equation 5), whose gradient to l depends on the activation;
 * - `"relative"`: (mean l / L0* - 1)^2 (dictionary_learning), whose gradient depends on the whole batch;
 *
 * and, where there is a `frequencyScale` omega, sum_i p_i^2 / omega besides. With `"l0"`, which is sum_i p_i, that makes the
 * quadratic-frequency penalty sum_i p_i (1 + p_i / omega) of Google DeepMind's second progress update (2025).
 *
 * Each is multiplied with the pseudo-derivative of H, -(1/eps) K((pi - theta)/eps).
 */
export interface L0Penalty {
  /** dPenalty/dl where it is one number known beforehand, lambda over the batch; else 0. */
  readonly uniform: number;
  /** `[rows]`: dPenalty/dl of each row of a block, from its l; null where that is not how the penalty works. */
  readonly perRow: ((l0: Tensor) => Tensor) | null;
  /** `[d_sae]`: where blocks add the pseudo-gradient of sum l, for a penalty on the batch's means; null for other penalties. */
  readonly ofSum: Tensor | null;
  /**
   * Adds what only the whole batch could tell, and gives the penalty times lambda.
   *
   * @param firing `[d_sae]`: how often each latent fired in the batch
   * @param squares sum of (l - L0*)^2
   */
  finish(firing: Int32Array, squares: number): number;
}

/** A penalty on l: its value from the sums over the batch, and its gradient to the sum of l where that needs them. */
interface CountPenalty extends Pick<L0Penalty, "perRow" | "uniform"> {
  readonly value: (active: number, squares: number) => number;
  readonly slope: ((active: number) => number) | null;
}

/** The penalty of one step. The caller disposes `ofSum`. */
export function l0PenaltyOf(step: GradientStep, config: JumpReluTrainConfig): L0Penalty {
  const { sparsity, device } = step;
  const batch = step.x.shape[0] ?? 0;
  const { frequencyScale, dSae } = config;
  const { uniform, perRow, value, slope } = countPenalty(sparsity, batch, config);
  const ofSum = slope !== null || frequencyScale !== null ? device.zeros([dSae]) : null;
  return {
    uniform,
    perRow,
    ofSum,
    finish(firing, squares) {
      let [active, frequencies] = [0, 0];
      for (const count of firing) {
        active += count;
        frequencies += (count / batch) ** 2;
      }
      const { threshold } = step.gradients;
      if (ofSum !== null && threshold !== null) {
        const common = slope?.(active) ?? 0;
        // p_i is a latent's part of sum l over the batch, so that d (p_i^2 / omega) is 2 p_i / (omega batch) of it.
        const own = frequencyScale === null ? 0 : (2 * sparsity) / (frequencyScale * batch * batch);
        device.scope(() => {
          const slopes = Float32Array.from(firing, (count) => common + own * count);
          addInto(threshold, mul(ofSum, device.tensor(slopes, [dSae])));
        });
      }
      const ofFrequencies = frequencyScale === null ? 0 : (sparsity * frequencies) / frequencyScale;
      return value(active, squares) + ofFrequencies;
    },
  };
}

function countPenalty(sparsity: number, batch: number, config: JumpReluTrainConfig): CountPenalty {
  const target = config.targetL0 ?? 1;
  if (config.penalty === "quadratic") {
    const factor = (4 * sparsity) / (target * batch);
    return {
      uniform: 0,
      perRow: (l0) => affine(l0, { factor, bias: -factor * target }),
      value: (_, squares) => (2 * sparsity * squares) / (target * batch),
      slope: null,
    };
  }
  if (config.penalty === "relative") {
    const over = (active: number): number => active / (batch * target) - 1;
    return {
      uniform: 0,
      perRow: null,
      value: (active) => sparsity * over(active) ** 2,
      slope: (active) => (2 * sparsity * over(active)) / (batch * target),
    };
  }
  return {
    uniform: sparsity / batch,
    perRow: null,
    value: (active) => (sparsity * active) / batch,
    slope: null,
  };
}

/** Sum of (l - L0*)^2 over a block's rows, a scalar; null for penalties that do not need it. */
export function squaresOf(l0: Tensor, config: JumpReluTrainConfig): Tensor | null {
  if (config.penalty !== "quadratic") return null;
  return sum(square(affine(l0, { factor: 1, bias: -(config.targetL0 ?? 1) })));
}
