import {
  attention,
  attentionMix,
  attentionScores,
  linear,
  softmax,
  type Tensor,
} from "@latentkit/tensor";
import type { HookRun } from "../hook-run.ts";
import type { KvCacheLayer } from "../kv-cache.ts";
import type { Weight } from "../families/family.ts";
import type { Rotary } from "./rotary.ts";

/** Weights as PyTorch's `Linear` stores them, `[out, in]`. */
export interface AttentionWeights {
  readonly query: Weight;
  readonly key: Weight;
  readonly value: Weight;
  readonly output: Weight;
}

/** Sizes of the heads. */
export interface AttentionSizes {
  readonly heads: number;
  readonly kvHeads: number;
  readonly dHead: number;
}

/** What attention needs to know about this call. */
export interface AttentionCall {
  readonly hooks: HookRun;
  readonly rotary: Rotary;
  /** Context position of the first token of `x`. */
  readonly startPosition: number;
  /** i32 `[batch * pos]`: the context position of each token. */
  readonly positions: Tensor;
  /** Keys and values of earlier positions, to which the new ones are added; null without a cache. */
  readonly cache: KvCacheLayer | null;
}

/**
 * Causal self-attention with grouped queries and rotary embeddings over `x [batch, pos, d_model]`.
 *
 * Sites: `hook_q [batch, pos, head, d_head]`, `hook_k` and `hook_v [batch, pos, kv_head, d_head]`; `hook_rot_q`, `hook_rot_k` after
 * the rotation; `hook_attn_scores [batch, head, query_pos, key_pos]`, scaled and masked with -Infinity; `hook_pattern`, their
 * softmax; `hook_z [batch, pos, head, d_head]`. With a cache, keys and values at the sites are those of the new positions only,
 * scores and patterns reach over all. Scores and patterns exist only if asked for: otherwise one fused kernel does all of it.
 *
 * @param at the attention's prefix, for example `"blocks.3.attn."`
 */
export function attentionBlock(
  x: Tensor,
  weights: AttentionWeights,
  sizes: AttentionSizes,
  at: string,
  call: AttentionCall,
): Tensor {
  const { hooks, rotary, startPosition, positions, cache } = call;
  const { heads, kvHeads, dHead } = sizes;
  const [batch = 0, length = 0] = x.shape;
  const kLength = startPosition + length;
  const project = (weight: Weight, count: number) =>
    linear(x, weight).reshape([batch, length, count, dHead]);

  const q = hooks.visit(`${at}hook_q`, project(weights.query, heads));
  const k = hooks.visit(`${at}hook_k`, project(weights.key, kvHeads));
  const v = hooks.visit(`${at}hook_v`, project(weights.value, kvHeads));
  const rotQ = hooks.visit(`${at}hook_rot_q`, rotary.apply(q, positions, kLength));
  const rotK = hooks.visit(`${at}hook_rot_k`, rotary.apply(k, positions, kLength));
  const keys = cache === null ? rotK : cache.appendKeys(rotK, startPosition);
  const values = cache === null ? v : cache.appendValues(v, startPosition);

  const scale = 1 / Math.sqrt(dHead);
  const options = { kLength, scale };
  const fused = !hooks.wants(`${at}hook_attn_scores`, `${at}hook_pattern`);
  const mixed = fused
    ? attention(rotQ, keys, values, options)
    : attentionMix(visitPattern(hooks, at, attentionScores(rotQ, keys, options)), values);
  const z = hooks.visit(`${at}hook_z`, mixed);
  return linear(z.reshape([batch, length, heads * dHead]), weights.output);
}

/** From scores to the pattern, both shown to the hooks. */
function visitPattern(hooks: HookRun, at: string, products: Tensor): Tensor {
  const scores = hooks.visit(`${at}hook_attn_scores`, products);
  return hooks.visit(`${at}hook_pattern`, softmax(scores));
}
