import type { AttentionKernels, AttentionPlan, Slice } from "../backend.ts";
import { logSumExp, softmax } from "./rows.ts";
import { f32, type Floats, u8 } from "./storage.ts";

export const attentionKernels: AttentionKernels = {
  attention(q, k, v, keyMask, out, logSums, plan) {
    const [queries, keys, values, target] = [f32(q), f32(k), f32(v), f32(out)];
    const sums = logSums === null ? null : f32(logSums);
    for (const { keyStarts, query, row, visible } of queryRows(plan, keyMask)) {
      const { scores } = scoreRow(queries, query, keys, keyStarts, plan);
      const pattern = softmax(scores);
      for (let i = 0; i < plan.dHead; i++) {
        target[query + i] = pattern.reduce(
          (sum, weight, key) => sum + weight * at(values, keyStarts[key], i),
          0,
        );
      }
      if (sums !== null) sums[row] = visible === 0 ? Number.NEGATIVE_INFINITY : logSumExp(scores);
    }
  },

  // Straight from the definition: what forward saved is not used.
  attentionGradient({ q, k, v, keyMask, dOut }, { dq, dk, dv }, plan) {
    const [queries, keys, values, gradients] = [f32(q), f32(k), f32(v), f32(dOut)];
    const { dHead, scale } = plan;
    const [toQueries, toKeys, toValues] = [q, k, v].map(({ length }) => new Float64Array(length));
    for (const { keyStarts, query } of queryRows(plan, keyMask)) {
      const { scores, slopes } = scoreRow(queries, query, keys, keyStarts, plan);
      const pattern = softmax(scores);
      const toPattern = pattern.map((_, key) =>
        dot(gradients, query, values, keyStarts[key] ?? 0, dHead),
      );
      const mean = pattern.reduce((sum, weight, key) => sum + weight * (toPattern[key] ?? 0), 0);
      for (const [key, start] of keyStarts.entries()) {
        const weight = pattern[key] ?? Number.NaN;
        const toProduct =
          weight * ((toPattern[key] ?? Number.NaN) - mean) * (slopes[key] ?? Number.NaN) * scale;
        for (let i = 0; i < dHead; i++) {
          increase(toQueries, query + i, toProduct * at(keys, start, i));
          increase(toKeys, start + i, toProduct * at(queries, query, i));
          increase(toValues, start + i, weight * at(gradients, query, i));
        }
      }
    }
    if (dq !== null) f32(dq).set(toQueries ?? []);
    if (dk !== null) f32(dk).set(toKeys ?? []);
    if (dv !== null) f32(dv).set(toValues ?? []);
  },

  attentionMask(keyMask, visible, hidden, out, plan) {
    const target = f32(out);
    const { qLength, kLength } = plan;
    const masks = keyMask === null ? 1 : plan.batch;
    for (let entry = 0; entry < masks; entry++) {
      for (let row = 0; row < qLength; row++) {
        const start = (entry * qLength + row) * kLength;
        target.fill(hidden, start, start + kLength);
        for (const key of visibleKeys(plan, keyMask, entry, row)) target[start + key] = visible;
      }
    }
  },
};

/** Keys that query row `row` of a batch entry sees. */
function visibleKeys(
  { qLength, kLength, causal, window }: AttentionPlan,
  keyMask: Slice | null,
  entry: number,
  row: number,
): readonly number[] {
  const mask = keyMask === null ? null : u8(keyMask);
  const position = kLength - qLength + row;
  return Array.from({ length: kLength }, (_, key) => key).filter(
    (key) =>
      (!causal || key <= position) &&
      (window === null || key > position - window) &&
      (mask === null || mask[entry * kLength + key] !== 0),
  );
}

interface QueryRow {
  /** Place of the query's first element. */
  readonly query: number;
  /** Places of the first elements of the keys that it sees. */
  readonly keyStarts: readonly number[];
  readonly visible: number;
  /** Place in `[batch, heads, qLength]`. */
  readonly row: number;
}

function* queryRows(plan: AttentionPlan, keyMask: Slice | null): Generator<QueryRow> {
  const { batch, qLength, kCapacity, heads, kvHeads, dHead } = plan;
  for (let entry = 0; entry < batch; entry++) {
    for (let i = 0; i < qLength; i++) {
      const keys = visibleKeys(plan, keyMask, entry, i);
      for (let head = 0; head < heads; head++) {
        const kvHead = Math.floor(head / (heads / kvHeads));
        yield {
          query: ((entry * qLength + i) * heads + head) * dHead,
          keyStarts: keys.map((key) => ((entry * kCapacity + key) * kvHeads + kvHead) * dHead),
          visible: keys.length,
          row: (entry * heads + head) * qLength + i,
        };
      }
    }
  }
}

/** Scores of one query before softmax, and their derivatives to the scaled products. */
function scoreRow(
  queries: Floats,
  query: number,
  keys: Floats,
  keyStarts: readonly number[],
  { dHead, scale, softCap }: AttentionPlan,
): { readonly scores: Float64Array; readonly slopes: Float64Array } {
  const products = Float64Array.from(
    keyStarts,
    (start) => scale * dot(queries, query, keys, start, dHead),
  );
  if (softCap === null) return { scores: products, slopes: products.map(() => 1) };
  const bent = products.map((product) => Math.tanh(product / softCap));
  return {
    scores: bent.map((value) => softCap * value),
    slopes: bent.map((value) => 1 - value * value),
  };
}

function dot(a: Floats, aStart: number, b: Floats, bStart: number, length: number): number {
  let sum = 0;
  for (let i = 0; i < length; i++) sum += at(a, aStart, i) * at(b, bStart, i);
  return sum;
}

function at(values: Floats, start: number | undefined, i: number): number {
  return values[(start ?? Number.NaN) + i] ?? Number.NaN;
}

function increase(target: Float64Array | undefined, place: number, by: number): void {
  if (target !== undefined) target[place] = (target[place] ?? Number.NaN) + by;
}
