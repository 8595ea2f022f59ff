import type { Slice } from "./storage.ts";

/**
 * Sizes and masks of attention over contiguous `q [batch, qLength, heads, dHead]` and `k, v [batch, kCapacity, kvHeads, dHead]`.
 *
 * Query row i stands at position `p = kLength - qLength + i`, key j at position j. A key is visible to a query if all of these
 * hold: `j < kLength`; `j <= p` where `causal`; `j > p - window` where there is a window; `keyMask[batch, j] != 0` where there is
 * a mask. Query head h reads key head `floor(h / (heads / kvHeads))`.
 */
export interface AttentionPlan {
  readonly batch: number;
  readonly qLength: number;
  /** Keys in use, the cached ones and the new. */
  readonly kLength: number;
  /** Rows that `k` and `v` have room for per batch entry (the KV cache's capacity); at least `kLength`. */
  readonly kCapacity: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly dHead: number;
  /** Factor of the products q k^T. */
  readonly scale: number;
  /** With `causal`, `kLength >= qLength`. */
  readonly causal: boolean;
  /** Keys that a query sees at most, itself the last of them; null for all. Only with `causal`. */
  readonly window: number | null;
  /** Scores become `softCap * tanh(score / softCap)` before the mask; null for no cap. */
  readonly softCap: number | null;
}

/** What the gradient reads. */
export interface AttentionGradientInputs {
  readonly q: Slice;
  readonly k: Slice;
  readonly v: Slice;
  /** u8 `[batch, kLength]`, or null. */
  readonly keyMask: Slice | null;
  /** What {@link AttentionKernels.attention} wrote. */
  readonly out: Slice;
  readonly logSumExp: Slice;
  /** Gradient to `out`. */
  readonly dOut: Slice;
}

/** What the gradient writes, each of its input's shape; null for what nobody needs. */
export interface AttentionGradientOutputs {
  readonly dq: Slice | null;
  readonly dk: Slice | null;
  readonly dv: Slice | null;
}

/** Attention. All floats are f32 unless a line says otherwise; index slices are i32. */
export interface AttentionKernels {
  /**
   * `out[b, i, h] = sum over visible j of softmax_j(scores) v[b, j]`, `scores = cap(scale * q[b, i, h] . k[b, j])`, with
   * `out [batch, qLength, heads, dHead]`. A query without visible keys gets zeros.
   *
   * @param keyMask u8 `[batch, kLength]`, 0 for keys that nobody sees; null for none
   * @param logSumExp `[batch, heads, qLength]`, or null: logarithm of the sum of `exp(score)` over the visible keys, -Infinity
   *   where there are none. Keys beyond `kLength` are not read.
   */
  attention(
    q: Slice,
    k: Slice,
    v: Slice,
    keyMask: Slice | null,
    out: Slice,
    logSumExp: Slice | null,
    plan: AttentionPlan,
  ): void;
  /**
   * Gradients of {@link AttentionKernels.attention}, with probabilities computed again from `logSumExp`. `dk` and `dv` are sums over
   * the query heads of a group, and 0 beyond `kLength`.
   */
  attentionGradient(
    inputs: AttentionGradientInputs,
    outputs: AttentionGradientOutputs,
    plan: AttentionPlan,
  ): void;
  /**
   * Writes `visible` where a query sees a key and `hidden` elsewhere: `out [masks, qLength, kLength]`, where `masks` is the batch
   * with a `keyMask` and 1 without.
   */
  attentionMask(
    keyMask: Slice | null,
    visible: number,
    hidden: number,
    out: Slice,
    plan: AttentionPlan,
  ): void;
}
