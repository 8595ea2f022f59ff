import {
  add,
  affine,
  div,
  mean,
  mul,
  norm,
  sqrt,
  sub,
  type Tensor,
  variance,
} from "@latentkit/tensor";

/** How an SAE normalises each token before it is encoded; its output is brought back by the same numbers. */
export type PerTokenNormalisation = "constant_norm_rescale" | "layer_norm";

/** A normalised input, and the way back for outputs of the same rows. Call within a scope. */
export interface NormalisedRows {
  /** `[n, d_in]`. */
  readonly input: Tensor;
  /** Of outputs `[n, d_in]`. */
  undo(output: Tensor): Tensor;
}

/** Beside the standard deviation, as in SAELens; the way back does without it. */
const layerNormEpsilon = 1e-5;

/**
 * As SAELens has it, token by token: `constant_norm_rescale` gives x the norm sqrt(d_in), `x s` with `s = sqrt(d_in) / ||x||`, and back
 * `y / s`; `layer_norm` is `(x - mu) / (sigma + 1e-5)` with the deviation of a sample (over d_in - 1), and back `y sigma + mu`.
 *
 * @param x `[n, d_in]`
 */
export function normalisedRows(x: Tensor, mode: PerTokenNormalisation): NormalisedRows {
  const perRow = { axis: 1, keepDims: true } as const;
  if (mode === "constant_norm_rescale") {
    const dIn = x.shape[1] ?? 0;
    const size = affine(norm(x, perRow), { factor: 1 / Math.sqrt(dIn), bias: 0 });
    return { input: div(x, size), undo: (output) => mul(output, size) };
  }
  const mu = mean(x, perRow);
  const centred = sub(x, mu);
  const sigma = sqrt(variance(centred, perRow));
  return {
    input: div(centred, affine(sigma, { factor: 1, bias: layerNormEpsilon })),
    undo: (output) => add(mul(output, sigma), mu),
  };
}
