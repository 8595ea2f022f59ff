import { linear, matmul, permute, StoredWeight, type Tensor } from "@latentkit/tensor";
import type { Weight, WeightFinder } from "../families/family.ts";

/** A linear layer. */
export interface Projection {
  /** `[out, in]` as PyTorch's `Linear` has it; a tensor that is transposed is `[in, out]`. */
  readonly weight: Weight;
  /** `[out]`. */
  readonly bias: Tensor | null;
  /** Whether a tensor is `[in, out]`, as of GPT-2's `Conv1D`. */
  readonly transposed: boolean;
}

/** The linear layer called `name` in a checkpoint: `name.weight`, and `name.bias` if it has one. */
export function findProjection(
  weights: WeightFinder,
  name: string,
  { bias = false, transposed = false }: { bias?: boolean; transposed?: boolean } = {},
): Projection {
  return {
    weight: weights.matrix(`${name}.weight`),
    bias: bias ? weights.vector(`${name}.bias`) : null,
    transposed,
  };
}

/** `x [..., in]` through a linear layer, `[..., out]`. */
export function project(x: Tensor, { weight, bias, transposed }: Projection): Tensor {
  if (!transposed || weight instanceof StoredWeight) return linear(x, weight, bias);
  return matmul(x, weight, { bias });
}

/** Each head's part of a projection of all heads side by side, without the bias: `x [batch, pos, heads, dHead]` to `[batch, pos, heads, out]`. */
export function projectHeads(x: Tensor, { weight, transposed }: Projection): Tensor {
  const [batch = 0, length = 0, heads = 0, dHead = 0] = x.shape;
  const dense = weight instanceof StoredWeight ? weight.dequantize() : weight;
  const inputsFirst = transposed && !(weight instanceof StoredWeight);
  const out = dense.size / (heads * dHead);
  const byHead = inputsFirst
    ? dense.reshape([heads, dHead, out])
    : permute(dense.reshape([out, heads, dHead]), [1, 2, 0]);
  const rows = permute(x.reshape([batch * length, heads, dHead]), [1, 0, 2]);
  return permute(matmul(rows, byHead), [1, 0, 2]).reshape([batch, length, heads, out]);
}
