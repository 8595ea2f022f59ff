import {
  add,
  affine,
  reluGradient,
  sparseDecode,
  sparseDot,
  type SparseRows,
  sumOfSquares,
  type Tensor,
} from "@latentkit/tensor";
import { addSparseGradients, type GradientStep } from "../train/step.ts";

/** What the AuxK loss needs to know. */
export interface AuxiliaryConfig {
  readonly auxiliaryWeight: number;
  readonly auxiliaryK: number | null;
}

/** What one block leaves for the auxiliary loss, which needs the variance of the whole batch's residual. */
export interface AuxiliaryBlock {
  readonly rows: SparseRows;
  /** x^ - x, `[block, d_in]`. */
  readonly error: Tensor;
  /** x - b_dec. */
  readonly input: Tensor;
}

/** Adds the AuxK gradients and returns the AuxK loss, not weighted. */
export async function addAuxiliary(
  step: GradientStep,
  config: AuxiliaryConfig,
  kept: readonly AuxiliaryBlock[],
  squaredError: number,
  errorSum: Float32Array,
): Promise<number> {
  const batch = step.x.shape[0] ?? 0;
  const variance =
    squaredError / batch -
    errorSum.reduce((sumOfMeans, value) => sumOfMeans + (value / batch) ** 2, 0);
  // A residual without variance has nothing left to explain; the published code turns the resulting NaN into 0.
  if (!(variance > 0)) return 0;
  const factor = (2 * config.auxiliaryWeight) / (batch * variance);
  const losses: Tensor[] = [];
  try {
    for (const { rows, error, input } of kept) {
      losses.push(
        step.device.scope(() => {
          const { decoder } = step.parameters;
          const difference = add(sparseDecode(rows, decoder, null), error);
          const dOutput = affine(difference, { factor, bias: 0 });
          const dPre = reluGradient(rows, sparseDot(rows, decoder, dOutput));
          addSparseGradients(step.gradients, { rows, dPre, dOutput, input });
          return sumOfSquares(difference);
        }),
      );
    }
    return (await total(losses)) / (batch * variance);
  } finally {
    for (const loss of losses) loss.dispose();
  }
}

/** The dead latents and how many of them explain the residual; null where there is no such loss. */
export function auxiliaryOf(
  config: AuxiliaryConfig,
  dead: Uint8Array | null,
  dIn: number,
): { readonly dead: Uint8Array; readonly k: number } | null {
  if (dead === null || config.auxiliaryWeight === 0) return null;
  const count = dead.reduce((sumOfDead, value) => sumOfDead + value, 0);
  const k = Math.min(config.auxiliaryK ?? Math.floor(dIn / 2), count);
  return k === 0 ? null : { dead, k };
}

/** Sum of scalars on the device. */
export async function total(scalars: readonly Tensor[]): Promise<number> {
  let result = 0;
  for (const scalar of scalars) result += await scalar.item();
  return result;
}
