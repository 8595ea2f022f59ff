import type { MatchingPursuitConfig } from "../config.ts";
import type { SaeWeights } from "../weights.ts";
import type { TrainConfig } from "./config.ts";
import type { GradientStep, StepMemory, StepResult } from "./step.ts";

/** What training leaves of an SAE, on the host, in units of the normalised input. */
export interface TrainedParameters {
  /** With b_dec still subtracted from the encoder's input. */
  readonly weights: SaeWeights;
  /** The further vectors, `[d_sae]`, by name. */
  readonly extras: Readonly<Record<string, Float32Array>>;
  readonly memory: StepMemory;
}

/** An SAE in a form that inference knows: its kind, and weights in the same units as {@link TrainedParameters}. */
export interface InferenceForm {
  readonly kind:
    | { readonly architecture: "abstopk" | "topk"; readonly k: number }
    | { readonly architecture: "jumprelu" }
    | ({ readonly architecture: "matching_pursuit"; readonly applyBDecToInput: true } & Pick<
        MatchingPursuitConfig,
        "maxIterations" | "residualThreshold" | "stopOnDuplicateSupport"
      >);
  readonly weights: SaeWeights;
}

/**
 * How one kind of SAE is trained. All else (batches, normalisation, optimiser, schedules, dead latents, checkpoints, held-out
 * figures) is the same for all. Give one of your own to `trainSae` as `architectures`, with a configuration
 * `{ architecture: "custom", name, options }`.
 */
export interface TrainingArchitecture {
  readonly name: string;
  /** Whether the decoder is the encoder too, and there is no b_enc: neither is trained then. False by default. */
  readonly tied?: boolean;
  /** Further vectors `[d_sae]` to train, by name, with the number that each starts from. None by default. */
  extras?(config: TrainConfig): Readonly<Record<string, number>>;
  /**
   * The decoder's rows: whether they are kept at unit norm (with the gradient's part along them removed before Adam), and the
   * norm that they start from, as do the encoder's. Unit norm by default.
   */
  decoderRows?(config: TrainConfig): { readonly unit: boolean; readonly initialNorm: number };
  /**
   * Adds the loss's gradients of one whole batch to `step.gradients` and `step.extras`, and reports the step's figures. The gradient
   * of b_dec through the encoder's input x - b_dec is left to the trainer, which takes `-sum_i db_enc[i] W_enc[i]`.
   */
  gradients(step: GradientStep): Promise<StepResult>;
  /** The SAE for inference. By default a JumpReLU where there is a threshold. */
  inferenceForm?(trained: TrainedParameters, config: TrainConfig): InferenceForm;
}
