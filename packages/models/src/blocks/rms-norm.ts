import { div, mul, rmsNorm, rmsNormWithScale, type Tensor } from "@latentkit/tensor";
import type { HookRun } from "../hook-run.ts";

/** RMSNorm's learned weight `[d_model]` and the constant under its root. */
export interface NormWeights {
  readonly weight: Tensor;
  readonly epsilon: number;
}

/**
 * `x / sqrt(mean(x^2) + epsilon) * weight` over the last axis of `[batch, pos, d_model]`.
 *
 * Sites: `hook_scale [batch, pos, 1]`, the root, and `hook_normalized [batch, pos, d_model]`, before the weight. One fused kernel
 * unless one of them is asked for.
 *
 * @param at the norm's prefix, for example `"blocks.3.ln1."`
 */
export function rmsNormBlock(
  x: Tensor,
  { weight, epsilon }: NormWeights,
  at: string,
  hooks: HookRun,
): Tensor {
  const scaleSite = `${at}hook_scale`;
  const normalizedSite = `${at}hook_normalized`;
  if (!hooks.wants(scaleSite, normalizedSite)) return rmsNorm(x, weight, epsilon);
  const steps = rmsNormWithScale(x, epsilon);
  const scale = hooks.visit(scaleSite, steps.scale);
  const normalized = scale === steps.scale ? steps.normalized : div(x, scale);
  return mul(hooks.visit(normalizedSite, normalized), weight);
}
