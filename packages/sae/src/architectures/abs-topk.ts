import { abs, encodeTopK, sparseGather, type SparseRows, type Tensor } from "@latentkit/tensor";
import type { SaeArchitecture } from "../architecture.ts";
import type { AbsTopKConfig } from "../config.ts";
import type { AbsTopKTrainConfig } from "../train/kinds.ts";
import { topKStep } from "./topk-step.ts";

/**
 * AbsTopK (2510.00404): the k pre-activations of each token that are furthest from 0 are kept with their signs, so that a latent may
 * be active in two directions.
 *
 * Trained as TopK is, `mean ||x - x^||^2 / Var(x) + alpha AuxK`; the dead latents of AuxK are chosen by distance from 0 and keep
 * their signs too, as in SAELens.
 */
export const absTopK: SaeArchitecture<AbsTopKConfig> = {
  name: "abstopk",
  signed: true,
  encode: (preActivations, config) => encodeAbsTopK(preActivations, config.k),
  // The registry hands each architecture its own member of the union, here and below.
  gradients: (step) =>
    topKStep(step, step.config as AbsTopKTrainConfig, {
      encode: encodeAbsTopK,
      // No ReLU: every kept latent passes its gradient on.
      dPre: (_rows, dValues) => dValues,
      magnitudes,
    }),
  inferenceForm: ({ weights }, config) => ({
    kind: { architecture: "abstopk", k: (config as AbsTopKTrainConfig).k },
    weights,
  }),
};

/** The k entries of each row of `pre [rows, width]` that are furthest from 0, with their signs. */
function encodeAbsTopK(
  pre: Tensor,
  k: number,
  options: { readonly allowed?: Tensor | null } = {},
): SparseRows {
  return pre.device.scope(() => {
    const rows = encodeTopK(abs(pre), k, options);
    return rows.withValues(sparseGather(rows, pre));
  });
}

/** The same places with each value's distance from 0, by which operators that count values above 0 see what is active. */
export function magnitudes(rows: SparseRows): SparseRows {
  return rows.withValues(abs(rows.values));
}
