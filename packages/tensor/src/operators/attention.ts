import { DTypeError, formatShape } from "@latentkit/core";
import { differentiable } from "../autograd/differentiable.ts";
import type { AttentionPlan, Slice } from "../backend.ts";
import {
  floats,
  requireRank,
  requireShape,
  requireValue,
  sameDevice,
  shapeError,
} from "../checks.ts";
import type { Tensor } from "../tensor.ts";

/** Options of {@link attention} and its relatives. */
export interface AttentionOptions {
  /** Keys in use; all of `k` by default. A KV cache has room for more than it holds. */
  readonly kLength?: number | undefined;
  /** Factor of the scores, usually `1 / sqrt(dHead)`. */
  readonly scale: number;
  /** Whether a query sees no key behind its own position; true by default. */
  readonly causal?: boolean | undefined;
  /**
   * Sliding window: a query at position p sees keys `p - window + 1 .. p`, as in Hugging Face's Mistral, Gemma 2 and Gemma 3. Only
   * with `causal`. Null or absent for none.
   */
  readonly window?: number | null | undefined;
  /** Scores s become `softCap * tanh(s / softCap)` before the mask, as in Gemma 2. Null or absent for none. */
  readonly softCap?: number | null | undefined;
  /** u8 `[batch, kLength]`: keys where it is 0 are seen by nobody, as for the padding of batches. */
  readonly keyMask?: Tensor | null | undefined;
}

/**
 * Scaled dot-product attention with grouped queries as one fused operator:
 *
 * `out[b, i, h] = sum_j softmax_j(cap(scale * q[b, i, h] . k[b, j, g])) v[b, j, g]`, `g = floor(h / (heads / kvHeads))`,
 *
 * over the keys j that query i sees. Query i stands at position `kLength - qLength + i`, key j at position j: what is new comes
 * last. A query that sees no key (all of them padding) gets zeros, and gives no gradient. Keys at or beyond `kLength` are not
 * read; elsewhere a hidden key or value may be any finite number.
 *
 * Neither the forward pass nor the gradient holds scores of all queries and keys at once: with a tape open, the logarithm of each
 * row's sum of exponentials is saved, and the gradient computes the probabilities again, block by block (Dao, "FlashAttention-2",
 * 2023).
 *
 * Shapes, all f32: q `[batch, qLength, heads, dHead]`, k and v `[batch, kCapacity, kvHeads, dHead]`, result as q. Throws
 * `ShapeError` for shapes that do not fit, a `keyMask` that is not `[batch, kLength]`, and a `kLength` beyond k, or, with `causal`,
 * below qLength; `DTypeError`; `ConfigError` `VALUE_RANGE` for a scale that is not finite, a cap or window that is not
 * positive, and a window without `causal`.
 *
 * @example
 * using out = attention(q, k, v, { scale: 1 / Math.sqrt(dHead), window: 4096, softCap: 50 });
 */
export function attention(q: Tensor, k: Tensor, v: Tensor, options: AttentionOptions): Tensor {
  const plan = attentionPlan("attention", q, k, options);
  const { device } = q;
  const [qSlice, kSlice, vSlice] = [q.slice, k.slice, floats("attention", v, "v")];
  sameDevice("attention", q, v);
  requireShape("attention", "v", v.shape, k.shape, `as k for q of shape ${formatShape(q.shape)}`);
  const keyMask = options.keyMask ?? null;
  const tape = device.tape;
  const tracked = tape !== null && [q, k, v].some((x) => tape.tracks(x));
  const out = device.empty(q.shape);
  const logSumExp = tracked ? device.empty([plan.batch, plan.heads, plan.qLength]) : null;
  if (out.size > 0) {
    device.backend.kernels.attention(
      qSlice,
      kSlice,
      vSlice,
      keyMask?.slice ?? null,
      out.slice,
      logSumExp?.slice ?? null,
      plan,
    );
  }
  if (logSumExp === null) return out;
  const result = differentiable(out, {
    operator: "attention",
    inputs: [q, k, v],
    saved: [q, k, v, out, logSumExp, ...(keyMask === null ? [] : [keyMask])],
    rule: (dOut, { saved, needs }) => attentionGradient(dOut, saved, needs, plan),
  });
  logSumExp.dispose();
  return result;
}

function attentionGradient(
  dOut: Tensor,
  [q, k, v, out, logSumExp, keyMask]: readonly Tensor[],
  needs: readonly boolean[],
  plan: AttentionPlan,
): readonly (Tensor | null)[] {
  if (!q || !k || !v || !out || !logSumExp) return []; // as saved above
  const { device } = q;
  const wanted = [q, k, v].map((x, index) => (needs[index] === true ? x.shape : null));
  if (out.size === 0 || k.size === 0)
    return wanted.map((shape) => (shape === null ? null : device.zeros(shape)));
  const gradients = wanted.map((shape) => (shape === null ? null : device.empty(shape)));
  const [dq = null, dk = null, dv = null] = gradients.map((gradient) => gradient?.slice ?? null);
  device.backend.kernels.attentionGradient(
    {
      q: q.slice,
      k: k.slice,
      v: v.slice,
      keyMask: keyMask?.slice ?? null,
      out: out.slice,
      logSumExp: logSumExp.slice,
      dOut: dOut.slice,
    },
    { dq, dk, dv },
    plan,
  );
  return gradients;
}

/** Checks q, k and the options, and says what kernels need to know. For the operators of this family. */
export function attentionPlan(
  operator: string,
  q: Tensor,
  k: Tensor,
  options: AttentionOptions,
): AttentionPlan {
  floats(operator, q, "q");
  floats(operator, k, "k");
  sameDevice(operator, q, k);
  requireRank(operator, "q", q.shape, 4, "[batch, qLength, heads, dHead]");
  requireRank(operator, "k", k.shape, 4, "[batch, kCapacity, kvHeads, dHead]");
  const [batch = 0, qLength = 0, heads = 0, dHead = 0] = q.shape;
  const [kBatch = 0, kCapacity = 0, kvHeads = 0, kHead = 0] = k.shape;
  if (kBatch !== batch || kHead !== dHead || kvHeads === 0 || heads % kvHeads !== 0) {
    throw shapeError(
      operator,
      `q of shape ${formatShape(q.shape)} and k of shape ${formatShape(k.shape)}`,
      "give equal batch and dHead, and a number of heads that is a multiple of the key heads",
    );
  }
  const { scale, kLength = kCapacity, causal = true, keyMask = null } = options;
  const [window, softCap] = [options.window ?? null, options.softCap ?? null];
  const least = causal ? qLength : 0;
  if (!Number.isInteger(kLength) || kLength < least || kLength > kCapacity) {
    throw shapeError(
      operator,
      `kLength ${kLength} for q of shape ${formatShape(q.shape)} and k of shape ${formatShape(k.shape)}`,
      `give a kLength from ${least}${causal ? " (q's length)" : ""} to k's capacity ${kCapacity}`,
    );
  }
  requireValue(Number.isFinite(scale), operator, "scale", scale, "a finite number");
  if (softCap !== null) {
    const positive = Number.isFinite(softCap) && softCap > 0;
    requireValue(positive, operator, "softCap", softCap, "a positive number");
  }
  if (window !== null) {
    const positive = Number.isInteger(window) && window > 0;
    requireValue(positive, operator, "window", window, "a positive integer");
    requireValue(causal, operator, "window", window, "null where causal is false");
  }
  if (keyMask !== null) checkKeyMask(operator, q, keyMask, [batch, kLength]);
  return {
    batch,
    qLength,
    kLength,
    kCapacity,
    heads,
    kvHeads,
    dHead,
    scale,
    causal,
    window,
    softCap,
  };
}

function checkKeyMask(
  operator: string,
  q: Tensor,
  keyMask: Tensor,
  expected: readonly [number, number],
): Slice {
  sameDevice(operator, q, keyMask);
  if (keyMask.dtype !== "u8") {
    throw new DTypeError({
      code: "DTYPE_MISMATCH",
      message: `${operator} got keyMask of dtype ${keyMask.dtype} and shape ${formatShape(keyMask.shape)}, expected u8`,
      fix: "give 1 for keys that may be seen and 0 for the others, as u8",
    });
  }
  const why = `([batch, kLength]) for q of shape ${formatShape(q.shape)}`;
  requireShape(operator, "keyMask", keyMask.shape, expected, why);
  return keyMask.slice;
}
