import {
  add,
  attention,
  attentionMix,
  attentionScores,
  greater,
  maximum,
  slice,
  softmax,
  sum,
  type Tensor,
  where,
} from "@latentkit/tensor";
import type { HookRun } from "../hook-run.ts";
import type { KvCacheLayer } from "../kv-cache.ts";
import { normBlock, type Norm } from "./norm.ts";
import { type Projection, project, projectHeads } from "./projection.ts";
import type { Rotary, Rotation } from "./rotary.ts";

/** How queries, keys and values come out of the residual stream. */
export type QueryKeyValue =
  | {
      readonly kind: "separate";
      readonly query: Projection;
      readonly key: Projection;
      readonly value: Projection;
    }
  | {
      /** One layer makes all three. */
      readonly kind: "fused";
      readonly all: Projection;
      /** All queries, all keys, all values (GPT-2); or the three of each head together (GPT-NeoX). */
      readonly order: "thirds" | "heads";
    };

/** One layer's attention. */
export interface Attention {
  readonly heads: number;
  readonly kvHeads: number;
  readonly dHead: number;
  readonly projections: QueryKeyValue;
  readonly output: Projection;
  /** Norms of queries and keys before the rotation, over each head or over the whole width; null for none. */
  readonly queryKeyNorm: {
    readonly query: Norm;
    readonly key: Norm;
    readonly over: "head" | "width";
  } | null;
  /** Null where positions are learned. */
  readonly rotary: Rotary | null;
  /** Factor of the scores. */
  readonly scale: number;
  readonly softCap: number | null;
  readonly window: number | null;
}

/** What attention needs to know about this call. */
export interface AttentionCall {
  readonly hooks: HookRun;
  /** Context position of the first token of `x`. */
  readonly startPosition: number;
  /** The rotation of this layer's queries and keys; null for none. */
  readonly rotation: Rotation | null;
  /** u8 `[batch, kLength]`, 0 for keys that are padding; null where none are. */
  readonly keyMask: Tensor | null;
  /** Keys and values of earlier positions, to which the new ones are added; null without a cache. */
  readonly cache: KvCacheLayer | null;
}

/**
 * Causal self-attention with grouped queries over `x [batch, pos, d_model]`.
 *
 * Sites: `hook_q [batch, pos, head, d_head]`, `hook_k` and `hook_v [batch, pos, kv_head, d_head]`, as projected; `q_norm` and
 * `k_norm` where there are norms; `hook_rot_q`, `hook_rot_k` after the rotation, if there is one; `hook_attn_scores
 * [batch, head, query_pos, key_pos]`, scaled, capped and masked with -Infinity; `hook_pattern`, their softmax; `hook_z
 * [batch, pos, head, d_head]`; `hook_result [batch, pos, head, d_model]`, what each head adds, before the bias. With a cache, keys and values at the sites are those of the new positions only, scores and patterns
 * reach over all. Scores, patterns and results exist only if asked for: otherwise one fused kernel does all of it.
 *
 * @param at the attention's prefix, for example `"blocks.3.attn."`
 */
export function attentionBlock(
  x: Tensor,
  layer: Attention,
  at: string,
  call: AttentionCall,
): Tensor {
  const { hooks, startPosition, rotation, keyMask, cache } = call;
  const { heads, dHead, scale, softCap, window, queryKeyNorm: norms } = layer;
  const [batch = 0, length = 0] = x.shape;
  const kLength = startPosition + length;

  const [made, madeKey, madeValue] = queryKeyValue(x, layer);
  const q = hooks.visit(`${at}hook_q`, made);
  const k = hooks.visit(`${at}hook_k`, madeKey);
  const v = hooks.visit(`${at}hook_v`, madeValue);
  const over = norms?.over === "width";
  const normQ = norms === null ? q : headNorm(q, norms.query, over, `${at}q_norm.`, hooks);
  const normK = norms === null ? k : headNorm(k, norms.key, over, `${at}k_norm.`, hooks);
  const turned = (name: string, value: Tensor) =>
    rotation === null ? value : hooks.visit(at + name, rotation.apply(value));
  const rotQ = turned("hook_rot_q", normQ);
  const rotK = turned("hook_rot_k", normK);
  const keys = cache === null ? rotK : cache.appendKeys(rotK, startPosition);
  const values = cache === null ? v : cache.appendValues(v, startPosition);

  const options = { kLength, scale, softCap, window, keyMask };
  const fused = !hooks.wants(`${at}hook_attn_scores`, `${at}hook_pattern`);
  const mixed = fused
    ? attention(rotQ, keys, values, options)
    : attentionMix(visitPattern(hooks, at, attentionScores(rotQ, keys, options), keyMask), values);
  const z = hooks.visit(`${at}hook_z`, mixed);
  const resultSite = `${at}hook_result`;
  if (!hooks.wants(resultSite))
    return project(z.reshape([batch, length, heads * dHead]), layer.output);
  const summed = sum(hooks.visit(resultSite, projectHeads(z, layer.output)), { axis: 2 });
  return layer.output.bias === null ? summed : add(summed, layer.output.bias);
}

/** Queries `[batch, pos, head, d_head]`, keys and values `[batch, pos, kv_head, d_head]`. */
function queryKeyValue(
  x: Tensor,
  { projections, heads, kvHeads, dHead }: Attention,
): readonly [Tensor, Tensor, Tensor] {
  const [batch = 0, length = 0] = x.shape;
  if (projections.kind === "separate") {
    const of = (projection: Projection, count: number) =>
      project(x, projection).reshape([batch, length, count, dHead]);
    const { query, key, value } = projections;
    return [of(query, heads), of(key, kvHeads), of(value, kvHeads)];
  }
  const all = project(x, projections.all);
  const part = (index: number) => {
    if (projections.order === "heads") {
      const byHead = all.reshape([batch, length, heads, 3 * dHead]);
      return slice(byHead, { axis: 3, start: index * dHead, end: (index + 1) * dHead });
    }
    const width = heads * dHead;
    const third = slice(all, { axis: 2, start: index * width, end: (index + 1) * width });
    return third.reshape([batch, length, heads, dHead]);
  };
  return [part(0), part(1), part(2)];
}

/** A norm of `[batch, pos, heads, d_head]` over the last axis or the last two. */
function headNorm(x: Tensor, norm: Norm, overWidth: boolean, at: string, hooks: HookRun): Tensor {
  if (!overWidth) return normBlock(x, norm, at, hooks);
  const [batch = 0, length = 0, heads = 0, dHead = 0] = x.shape;
  return normBlock(x.reshape([batch, length, heads * dHead]), norm, at, hooks).reshape(x.shape);
}

/** From scores to the pattern, both shown to the hooks. */
function visitPattern(
  hooks: HookRun,
  at: string,
  products: Tensor,
  keyMask: Tensor | null,
): Tensor {
  const scores = hooks.visit(`${at}hook_attn_scores`, products);
  const pattern = keyMask === null ? softmax(scores) : softmaxOfSeen(scores);
  return hooks.visit(`${at}hook_pattern`, pattern);
}

/** Softmax with zeros where a query sees no key, as padding on the left does, whose rows would be NaN and spread from there. */
function softmaxOfSeen(scores: Tensor): Tensor {
  const seen = greater(scores, Number.NEGATIVE_INFINITY);
  return where(seen, softmax(maximum(scores, -3e38)), 0);
}
