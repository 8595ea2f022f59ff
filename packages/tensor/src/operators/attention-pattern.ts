import { formatShape } from "@latentkit/core";
import type { AttentionPlan } from "../backend.ts";
import { floats, requireRank, sameDevice, shapeError } from "../checks.ts";
import type { Tensor } from "../tensor.ts";
import { type AttentionOptions, attentionPlan } from "./attention.ts";
import { add, maximum, mul } from "./arithmetic.ts";
import { tanh } from "./unary.ts";
import { permute, slice } from "./layout.ts";
import { matmul } from "./matmul.ts";
import { softmax } from "./softmax.ts";

/**
 * Attention scores in the open: `cap(scale * q k^T)`, -Infinity where a query does not see a key. Shapes and options as for
 * {@link attention}; result `[batch, heads, qLength, kLength]`. Composed of operators that are recorded one by one.
 */
export function attentionScores(q: Tensor, k: Tensor, options: AttentionOptions): Tensor {
  return q.device.scope(() => {
    const plan = attentionPlan("attentionScores", q, k, options);
    const { batch, qLength, kLength, heads, kvHeads, dHead, scale, softCap } = plan;
    // Query heads of one group lie side by side, so a group's queries are one taller matrix before its key head.
    const rows = (heads / kvHeads) * qLength;
    const queries = permute(q, [0, 2, 1, 3]).reshape([batch, kvHeads, rows, dHead]);
    const keys = permute(firstKeys(k, kLength), [0, 2, 1, 3]);
    const products = matmul(queries, keys, { transposeB: true, alpha: scale });
    const capped = softCap === null ? products : mul(tanh(mul(products, 1 / softCap)), softCap);
    return add(
      capped.reshape([batch, heads, qLength, kLength]),
      maskOf(q, plan, options, 0, Number.NEGATIVE_INFINITY),
    );
  });
}

/**
 * Attention probabilities `[batch, heads, qLength, kLength]`, the softmax of {@link attentionScores}: what {@link attention} does
 * not keep. A query that sees no key has a row of zeros. `attentionMix(attentionPattern(q, k, options), v)` equals
 * `attention(q, k, v, options)`.
 */
export function attentionPattern(q: Tensor, k: Tensor, options: AttentionOptions): Tensor {
  return q.device.scope(() => {
    const plan = attentionPlan("attentionPattern", q, k, options);
    const scores = attentionScores(q, k, options);
    if (options.keyMask === null || options.keyMask === undefined) return softmax(scores);
    // A row of -Infinity alone would give NaN: it is made even, and then zero.
    return mul(softmax(maximum(scores, -3e38)), maskOf(q, plan, options, 1, 0));
  });
}

/**
 * Values weighted by a pattern: `pattern [batch, heads, qLength, kLength]`, v `[batch, kCapacity, kvHeads, dHead]` of which the
 * first kLength are used, result `[batch, qLength, heads, dHead]`. Throws `ShapeError` for shapes that do not fit.
 */
export function attentionMix(pattern: Tensor, v: Tensor): Tensor {
  floats("attentionMix", pattern, "pattern");
  floats("attentionMix", v, "v");
  sameDevice("attentionMix", pattern, v);
  const [batch = 0, heads = 0, qLength = 0, kLength = 0] = pattern.shape;
  const [vBatch = 0, kCapacity = 0, kvHeads = 0, dHead = 0] = v.shape;
  requireRank("attentionMix", "pattern", pattern.shape, 4, "[batch, heads, qLength, kLength]");
  requireRank("attentionMix", "v", v.shape, 4, "[batch, kCapacity, kvHeads, dHead]");
  if (vBatch !== batch || kLength > kCapacity || kvHeads === 0 || heads % kvHeads !== 0) {
    throw shapeError(
      "attentionMix",
      `pattern of shape ${formatShape(pattern.shape)} and v of shape ${formatShape(v.shape)}`,
      "give equal batch, at least as many values as the pattern has keys, and a number of heads that is a multiple of the key heads",
    );
  }
  return v.device.scope(() => {
    const rows = (heads / kvHeads) * qLength;
    const values = permute(firstKeys(v, kLength), [0, 2, 1, 3]);
    const mixed = matmul(pattern.reshape([batch, kvHeads, rows, kLength]), values);
    return permute(mixed.reshape([batch, heads, qLength, dHead]), [0, 2, 1, 3]);
  });
}

/** `visible` and `hidden` as `[batch or 1, 1, qLength, kLength]`. */
function maskOf(
  q: Tensor,
  plan: AttentionPlan,
  options: AttentionOptions,
  visible: number,
  hidden: number,
): Tensor {
  const keyMask = options.keyMask ?? null;
  const masks = keyMask === null ? 1 : plan.batch;
  const out = q.device.empty([masks, 1, plan.qLength, plan.kLength]);
  if (out.size > 0) {
    const mask = keyMask?.slice ?? null;
    q.device.backend.kernels.attentionMask(mask, visible, hidden, out.slice, plan);
  }
  return out;
}

/** The keys or values in use of those that a cache has room for. */
function firstKeys(x: Tensor, kLength: number): Tensor {
  return x.shape[1] === kLength ? x : slice(x, { axis: 1, start: 0, end: kLength });
}
