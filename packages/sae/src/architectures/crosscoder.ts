import {
  add,
  addInto,
  affine,
  concat,
  div,
  maximum,
  mul,
  norm,
  slice,
  sum,
  type Tensor,
} from "@latentkit/tensor";
import type {
  BatchTopKCrosscoderTrainConfig,
  CrosscoderSite,
  CrosscoderTrainConfig,
} from "../train/crosscoder-config.ts";
import type { GradientStep, StepResult } from "../train/step.ts";
import type { InferenceForm, TrainingArchitecture } from "../train/training-architecture.ts";
import type { SaeWeights } from "../weights.ts";
import { batchTopKStep, runningThreshold } from "./batch-topk-step.ts";
import { reluStep } from "./relu-step.ts";
import { withThreshold } from "./threshold-forms.ts";

/**
 * A crosscoder over sites (Lindsey et al., "Sparse Crosscoders for Cross-Layer Features and Model Diffing", 2024): the encoder sums
 * over sites, `f = ReLU(sum_s W_enc^s x^s + b_enc)`, and each site has a decoder, `x^^s = W_dec^s f + b_dec^s`. Trained on
 *
 * `mean (sum_s ||x^s - x^^s||^2 + lambda sum_i f_i sum_s ||d_i^s||)`, the norms of a latent's rows at the sites summed.
 *
 * Each site is divided by its own scale. Nothing is subtracted from the encoder's input, and the decoder's rows have any norm: the
 * relative norms say where a latent lives. For inference a JumpReLU of threshold 0 over the sites side by side.
 */
export const crosscoder: TrainingArchitecture = {
  name: "crosscoder",
  // The registry hands each architecture its own member of the union, here and below.
  decoderRows: (config) => ({
    unit: false,
    initialNorm: (config as CrosscoderTrainConfig).initialDecoderNorm,
  }),
  gradients: penalisedStep,
  inferenceForm: ({ weights }) => withThreshold(weights, 0),
};

/**
 * A BatchTopK crosscoder (Minder et al., 2504.02922): of a batch of B the k B largest `f_i sum_s ||d_i^s||` are kept, and there is no
 * penalty: `mean sum_s ||x^s - x^^s||^2 / Var(x)`, and AuxK as BatchTopK has it. The selection has no gradient. For inference latent i
 * is a JumpReLU whose threshold is the running mean of the batches' smallest selected value, over sum_s ||d_i^s||.
 */
export const batchTopKCrosscoder: TrainingArchitecture = {
  name: "batchtopk_crosscoder",
  decoderRows: (config) => ({
    unit: false,
    initialNorm: (config as BatchTopKCrosscoderTrainConfig).initialDecoderNorm,
  }),
  async gradients(step) {
    // As above.
    const config = step.config as BatchTopKCrosscoderTrainConfig;
    using norms = step.device.scope(() => summedNorms(step.parameters.decoder, config.sites).total);
    return await batchTopKStep(step, config, { prefixes: null, selectBy: norms });
  },
  inferenceForm({ weights, memory }, config) {
    // As above.
    const { sites } = config as BatchTopKCrosscoderTrainConfig;
    return thresholdOverNorms(weights, sites, runningThreshold(memory));
  },
};

async function penalisedStep(step: GradientStep): Promise<StepResult> {
  // As above.
  const { sites } = step.config as CrosscoderTrainConfig;
  const batch = step.x.shape[0] ?? 0;
  const weight = step.sparsity / batch;
  const { sums, ...result } = await reluStep(step, (latents) => {
    const { decoder } = step.parameters;
    const { total, parts } = summedNorms(decoder, sites);
    const fired = sum(latents, { axis: 0 });
    // A row of norm 0 has no direction: its gradient is taken as 0.
    const along = parts.map(({ rows, norms }) => {
      const factors = affine(div(fired, maximum(norms, 1e-30)), { factor: weight, bias: 0 });
      return mul(rows, factors.reshape([factors.size, 1]));
    });
    addInto(step.gradients.decoder, concat(along, { axis: 1 }));
    return {
      dLatents: affine(total, { factor: weight, bias: 0 }),
      sums: [sum(mul(fired, total))],
    };
  });
  return { ...result, loss: result.loss + weight * (sums[0] ?? 0) };
}

interface SiteNorms {
  /** `[d_sae, width]`. */
  readonly rows: Tensor;
  /** `[d_sae]`. */
  readonly norms: Tensor;
}

/** sum_s ||d_i^s|| of each latent, `[d_sae]`, and each site's part. */
function summedNorms(
  decoder: Tensor,
  sites: readonly CrosscoderSite[],
): { readonly total: Tensor; readonly parts: readonly SiteNorms[] } {
  let end = 0;
  const parts = sites.map(({ width }): SiteNorms => {
    end += width;
    const rows = slice(decoder, { axis: 1, start: end - width, end });
    return { rows, norms: norm(rows, { axis: 1 }) };
  });
  const [dSae = 0] = decoder.shape;
  const start = decoder.device.zeros([dSae]);
  return { total: parts.reduce((sumOfNorms, { norms }) => add(sumOfNorms, norms), start), parts };
}

function thresholdOverNorms(
  weights: SaeWeights,
  sites: readonly CrosscoderSite[],
  threshold: number,
): InferenceForm {
  const total = weights.decoderBias.length;
  const own = weights.encoderBias.map((_, latent) => {
    let [column, norms] = [latent * total, 0];
    for (const { width } of sites) {
      let squares = 0;
      for (const end = column + width; column < end; column++)
        squares += (weights.decoder[column] ?? 0) ** 2;
      norms += Math.sqrt(squares);
    }
    // A latent that writes nothing was never selected.
    return norms > 0 ? threshold / norms : 3e38;
  });
  return { kind: { architecture: "jumprelu" }, weights: { ...weights, threshold: own } };
}
