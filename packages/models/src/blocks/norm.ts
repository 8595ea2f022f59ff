import {
  add,
  div,
  layerNorm,
  layerNormWithScale,
  mul,
  rmsNorm,
  rmsNormWithScale,
  type Tensor,
} from "@latentkit/tensor";
import type { HookRun } from "../hook-run.ts";

/** A norm's learned parameters, each as long as the axis it normalises, and the constant under its root. */
export type Norm =
  | {
      readonly kind: "rms";
      readonly weight: Tensor;
      /** Added to the weight before it is used: 1 for Gemma. */
      readonly offset: 0 | 1;
      readonly epsilon: number;
    }
  | {
      readonly kind: "layer";
      readonly weight: Tensor;
      readonly bias: Tensor;
      readonly epsilon: number;
    };

/**
 * RMSNorm, `x / sqrt(mean(x^2) + epsilon) * (offset + weight)`, or LayerNorm,
 * `(x - mean(x)) / sqrt(variance(x) + epsilon) * weight + bias`, over the last axis.
 *
 * Sites: `hook_scale [..., 1]`, the root, and `hook_normalized`, of x's shape, before weight and bias. One fused kernel unless one of
 * them is asked for. An edit of the scale divides what LayerNorm has centred.
 *
 * @param at the norm's prefix, for example `"blocks.3.ln1."`
 */
export function normBlock(x: Tensor, norm: Norm, at: string, hooks: HookRun): Tensor {
  const scaleSite = `${at}hook_scale`;
  const normalizedSite = `${at}hook_normalized`;
  if (!hooks.wants(scaleSite, normalizedSite)) return plainNorm(x, norm);
  const { epsilon } = norm;
  const layer = norm.kind === "layer";
  const steps = layer ? layerNormWithScale(x, epsilon) : rmsNormWithScale(x, epsilon);
  const scale = hooks.visit(scaleSite, steps.scale);
  // Other scales divide x, or for LayerNorm the centred x, which is what was normalised times its own scale.
  const numerator = () => (layer ? mul(steps.normalized, steps.scale) : x);
  const normalized = scale === steps.scale ? steps.normalized : div(numerator(), scale);
  const weighted = mul(hooks.visit(normalizedSite, normalized), normWeight(norm));
  return norm.kind === "layer" ? add(weighted, norm.bias) : weighted;
}

/** {@link normBlock} without sites. */
export function plainNorm(x: Tensor, norm: Norm): Tensor {
  return norm.kind === "layer"
    ? layerNorm(x, norm.weight, norm.bias, norm.epsilon)
    : rmsNorm(x, normWeight(norm), norm.epsilon);
}

/** What normalised values are multiplied by. */
function normWeight(norm: Norm): Tensor {
  return norm.kind === "rms" && norm.offset === 1 ? add(norm.weight, 1) : norm.weight;
}
