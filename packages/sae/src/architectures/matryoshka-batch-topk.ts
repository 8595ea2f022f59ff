import type { MatryoshkaBatchTopKTrainConfig } from "../train/kinds.ts";
import type { TrainingArchitecture } from "../train/training-architecture.ts";
import { batchTopKStep, thresholdForm } from "./batch-topk-step.ts";

/**
 * Matryoshka BatchTopK (2503.17547): BatchTopK over all latents, whose prefixes of m_1 < .. < M latents must each reconstruct by
 * themselves: the mean (or the sum) over j of `mean ||x - (b_dec + the first m_j latents)||^2 / Var(x)`, plus alpha AuxK on the
 * residual of all latents. For inference as BatchTopK.
 */
export const matryoshkaBatchTopK: TrainingArchitecture = {
  name: "matryoshka_batchtopk",
  gradients(step) {
    // The registry hands each architecture its own member of the union.
    const config = step.config as MatryoshkaBatchTopKTrainConfig;
    const weight = config.prefixLoss === "mean" ? 1 / config.widths.length : 1;
    return batchTopKStep(step, config, {
      prefixes: { widths: config.widths, weight },
      selectBy: null,
    });
  },
  inferenceForm: thresholdForm,
};
