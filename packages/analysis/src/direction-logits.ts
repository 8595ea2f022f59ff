import { ConfigError } from "@latentkit/core";
import type { LanguageModel } from "@latentkit/models";
import { embedding, linear, mean, mul, sub, type Tensor } from "@latentkit/tensor";

/** Options of {@link directionLogits}. */
export interface DirectionLogitsOptions {
  /** What the final norm divides by, as `ln_final.hook_scale` has it in some run; 1 if left out. */
  readonly scale?: number | undefined;
  /** Tokens whose logits are wanted; all if left out. */
  readonly tokens?: readonly number[] | undefined;
}

/**
 * What directions of the residual stream add straight to the logits, with the final norm's scale frozen:
 * `(d - mean(d)) * w / scale . u` for each token's row u of the unembedding, where w is what the norm multiplies by, and the mean is
 * subtracted by LayerNorm alone. Before any soft cap, and without the norm's bias, so that it is linear in d.
 *
 * @param directions `[n, d_model]`
 * @returns `[n, tokens]`, the caller's
 * @throws ConfigError `ANALYSIS_SCALE`
 */
export function directionLogits(
  model: LanguageModel,
  directions: Tensor,
  options: DirectionLogitsOptions = {},
): Tensor {
  const { scale = 1, tokens } = options;
  if (!(scale > 0 && Number.isFinite(scale))) {
    throw new ConfigError({
      code: "ANALYSIS_SCALE",
      message: `the final norm was given the scale ${scale}, and it divides by a number above 0`,
      fix: "give a value of ln_final.hook_scale, or leave it out",
    });
  }
  return model.device.scope(() => {
    const centred =
      model.finalNormBias() === null
        ? directions
        : sub(directions, mean(directions, { axis: 1, keepDims: true }));
    const read = mul(centred, mul(model.finalNormWeight(), 1 / scale));
    const weight = model.unembeddingWeight();
    return linear(read, tokens === undefined ? weight : embedding(weight, [...tokens]));
  });
}
