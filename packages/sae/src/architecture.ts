import type { SparseRows, Tensor } from "@latentkit/tensor";
import { absTopK } from "./architectures/abs-topk.ts";
import { jumpRelu } from "./architectures/jumprelu.ts";
import { matchingPursuit } from "./architectures/matching-pursuit.ts";
import { topK } from "./architectures/topk.ts";
import type { SaeArchitectureName, SaeConfig } from "./config.ts";
import type { TrainingArchitecture } from "./train/training-architecture.ts";
import type { SaeTensors } from "./weights.ts";

/**
 * A kind of SAE as it stands at inference: how it makes latents sparse. All else (encoder product, decode, metrics, files) is
 * shared. Several kinds of training end in one of these: see `TrainingArchitecture`.
 */
export interface SaeArchitecture<
  Config extends SaeConfig = SaeConfig,
> extends TrainingArchitecture {
  readonly name: Config["architecture"];
  /** Latents from pre-activations `[n, d_sae]`. Synchronous; the caller disposes the result. */
  encode(preActivations: Tensor, config: Config, tensors: SaeTensors): SparseRows;
  /**
   * Latents from the encoder's input `[n, d_in]`, for kinds in which no latent has one pre-activation; called instead of
   * {@link SaeArchitecture.encode} then.
   */
  encodeInput?(input: Tensor, config: Config, tensors: SaeTensors): SparseRows;
  /** Whether active latents may be negative; false by default. */
  readonly signed?: boolean;
}

const architectures: Readonly<Record<SaeArchitectureName, SaeArchitecture>> = {
  abstopk: absTopK,
  jumprelu: jumpRelu,
  matching_pursuit: matchingPursuit,
  topk: topK,
};

/** The names of all architectures, sorted. */
export const architectureNames: readonly SaeArchitectureName[] = [
  "abstopk",
  "jumprelu",
  "matching_pursuit",
  "topk",
];

/** The architecture of that name. */
export function architectureOf(name: SaeArchitectureName): SaeArchitecture {
  return architectures[name];
}
