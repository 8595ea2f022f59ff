import { linear, siluMul, type Tensor } from "@latentkit/tensor";
import type { Weight } from "../families/family.ts";
import type { HookRun } from "../hook-run.ts";

/** Weights as PyTorch's `Linear` stores them, `[out, in]`. */
export interface GatedMlpWeights {
  readonly gate: Weight;
  readonly up: Weight;
  readonly down: Weight;
}

/**
 * `down(silu(gate(x)) * up(x))`, with TransformerLens's sites: `hook_pre` is the gate before its activation, `hook_pre_linear`
 * the other factor and `hook_post` the product, all `[batch, pos, d_mlp]`.
 *
 * @param at the MLP's prefix, for example `"blocks.3.mlp."`
 */
export function gatedMlpBlock(
  x: Tensor,
  weights: GatedMlpWeights,
  at: string,
  hooks: HookRun,
): Tensor {
  const gate = hooks.visit(`${at}hook_pre`, linear(x, weights.gate));
  const up = hooks.visit(`${at}hook_pre_linear`, linear(x, weights.up));
  const post = hooks.visit(`${at}hook_post`, siluMul(gate, up));
  return linear(post, weights.down);
}
