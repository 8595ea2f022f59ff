import type { SparseRows, Tensor } from "@latentkit/tensor";
import { jumpRelu } from "./architectures/jumprelu.ts";
import { topK } from "./architectures/topk.ts";
import type { SaeArchitectureName, SaeConfig } from "./config.ts";
import type { GradientStep, StepResult } from "./train/step.ts";
import type { SaeTensors } from "./weights.ts";

/**
 * What one kind of SAE does differently from the others: how it makes latents sparse, and the gradient of its loss. All else
 * (encoder product, decode, optimiser, checkpoints, metrics) is shared. A new kind is one file beside these and one entry here.
 */
export interface SaeArchitecture<Config extends SaeConfig = SaeConfig> {
  readonly name: Config["architecture"];
  /** Latents from pre-activations `[n, d_sae]`. Synchronous; the caller disposes the result. */
  encode(preActivations: Tensor, config: Config, tensors: SaeTensors): SparseRows;
  /**
   * Adds the loss's gradients of one whole batch to `step.gradients`, in row blocks, and reports the step's figures. The
   * gradient of b_dec through the encoder's input is left to the trainer, which knows it from the gradient of b_enc.
   */
  gradients(step: GradientStep): Promise<StepResult>;
}

const architectures: Readonly<Record<SaeArchitectureName, SaeArchitecture>> = {
  jumprelu: jumpRelu,
  topk: topK,
};

/** The names of all architectures, sorted. */
export const architectureNames: readonly SaeArchitectureName[] = ["jumprelu", "topk"];

/** The architecture of that name. */
export function architectureOf(name: SaeArchitectureName): SaeArchitecture {
  return architectures[name];
}
