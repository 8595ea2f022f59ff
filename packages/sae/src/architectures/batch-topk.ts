import type { BatchTopKTrainConfig } from "../train/kinds.ts";
import type { TrainingArchitecture } from "../train/training-architecture.ts";
import { batchTopKStep, thresholdForm } from "./batch-topk-step.ts";

/**
 * BatchTopK (2412.06410): of the pre-activations of a whole batch of B the k B largest are kept, then ReLU, so that an activation may
 * take more latents than k or fewer. Trained as TopK is: `mean ||x - x^||^2 / Var(x) + alpha AuxK`.
 *
 * At inference an activation must not depend on its neighbours: the SAE is a JumpReLU with one threshold for all latents, the
 * running mean of the batches' smallest positive activation.
 */
export const batchTopK: TrainingArchitecture = {
  name: "batchtopk",
  // The registry hands each architecture its own member of the union.
  gradients: (step) =>
    batchTopKStep(step, step.config as BatchTopKTrainConfig, {
      prefixes: null,
      selectBy: null,
    }),
  inferenceForm: thresholdForm,
};
