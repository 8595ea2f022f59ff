import { encodeTopK, reluGradient } from "@latentkit/tensor";
import type { SaeArchitecture } from "../architecture.ts";
import type { TopKConfig } from "../config.ts";
import type { TopKTrainConfig } from "../train/config.ts";
import { topKStep } from "./topk-step.ts";

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
  // The registry hands each architecture its own member of the union, here and below.
  gradients: (step) =>
    topKStep(step, step.config as TopKTrainConfig, {
      encode: encodeTopK,
      dPre: reluGradient,
      magnitudes: (rows) => rows,
    }),
  inferenceForm: ({ weights }, config) => ({
    kind: { architecture: "topk", k: (config as TopKTrainConfig).k },
    weights,
  }),
};
