import {
  add,
  affine,
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
  /** x^ - x, `[block, d_out]`. */
  readonly error: Tensor;
  /** What the encoder saw, `[block, d_in]`. */
  readonly input: Tensor;
}

/** What the AuxK loss takes from the whole batch. */
export interface AuxiliaryBatch {
  /** Sum of ||x - x^||^2. */
  readonly squaredError: number;
  /** Sum of x^ - x, `[d_out]`. */
  readonly errorSum: Float32Array;
  /** The gradient to the kept pre-activations from that to the latents. */
  readonly dPre: (rows: SparseRows, dValues: Tensor) => Tensor;
}

/** Adds the AuxK gradients and returns the AuxK loss, not weighted. */
export async function addAuxiliary(
  step: GradientStep,
  config: AuxiliaryConfig,
  kept: readonly AuxiliaryBlock[],
  { squaredError, errorSum, dPre: gradientOf }: AuxiliaryBatch,
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
          const dPre = gradientOf(rows, sparseDot(rows, decoder, dOutput));
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
  dOut: number,
): { readonly dead: Uint8Array; readonly k: number } | null {
  if (dead === null || config.auxiliaryWeight === 0) return null;
  const count = dead.reduce((sumOfDead, value) => sumOfDead + value, 0);
  const k = Math.min(config.auxiliaryK ?? Math.floor(dOut / 2), count);
  return k === 0 ? null : { dead, k };
}

/** Sum of scalars on the device. */
export async function total(scalars: readonly Tensor[]): Promise<number> {
  let result = 0;
  for (const scalar of scalars) result += await scalar.item();
  return result;
}
