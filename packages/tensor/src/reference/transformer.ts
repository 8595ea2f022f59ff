import type { Kernels } from "../backend.ts";
import { elements, f32, i32 } from "./storage.ts";

type TransformerKernels = Pick<
  Kernels,
  | "embedding"
  | "rmsNorm"
  | "rope"
  | "attention"
  | "softmaxRows"
  | "logSoftmaxRows"
  | "crossEntropyRows"
>;

export const transformerKernels: TransformerKernels = {
  embedding(table, ids, rows, columns, out) {
    const [source, picks, target] = [elements(table), i32(ids), f32(out)];
    for (let row = 0; row < rows; row++) {
      const start = (picks[row] ?? 0) * columns;
      for (let column = 0; column < columns; column++)
        target[row * columns + column] = source.get(start + column);
    }
  },

  rmsNorm(x, weight, rows, columns, epsilon, out, scale) {
    const [source, target] = [f32(x), f32(out)];
    const weights = weight === null ? null : f32(weight);
    const scales = scale === null ? null : f32(scale);
    for (let row = 0; row < rows; row++) {
      let squares = 0;
      for (let column = 0; column < columns; column++)
        squares += (source[row * columns + column] ?? Number.NaN) ** 2;
      const length = Math.sqrt(squares / columns + epsilon);
      if (scales !== null) scales[row] = length;
      for (let column = 0; column < columns; column++) {
        const at = row * columns + column;
        target[at] =
          ((source[at] ?? Number.NaN) / length) *
          (weights === null ? 1 : (weights[column] ?? Number.NaN));
      }
    }
  },

  rope(x, cos, sin, positions, tokens, heads, dHead) {
    const [values, cosines, sines, rows] = [f32(x), f32(cos), f32(sin), i32(positions)];
    const half = dHead / 2;
    for (let token = 0; token < tokens; token++) {
      const row = (rows[token] ?? 0) * half;
      for (let head = 0; head < heads; head++) {
        const start = (token * heads + head) * dHead;
        for (let pair = 0; pair < half; pair++) {
          const [c, s] = [cosines[row + pair] ?? Number.NaN, sines[row + pair] ?? Number.NaN];
          const [first, second] = [
            values[start + pair] ?? Number.NaN,
            values[start + half + pair] ?? Number.NaN,
          ];
          values[start + pair] = first * c - second * s;
          values[start + half + pair] = second * c + first * s;
        }
      }
    }
  },

  attention(q, k, v, out, plan) {
    const [queries, keys, values, target] = [f32(q), f32(k), f32(v), f32(out)];
    const { batch, qLength, kLength, kCapacity, heads, kvHeads, dHead, scale } = plan;
    for (let entry = 0; entry < batch; entry++) {
      for (let row = 0; row < qLength; row++) {
        const visible = kLength - qLength + row + 1;
        for (let head = 0; head < heads; head++) {
          const kvHead = Math.floor(head / (heads / kvHeads));
          const queryStart = ((entry * qLength + row) * heads + head) * dHead;
          const keyStart = (key: number): number =>
            ((entry * kCapacity + key) * kvHeads + kvHead) * dHead;
          const scores = Float64Array.from({ length: visible }, (_, key) => {
            let dot = 0;
            for (let i = 0; i < dHead; i++)
              dot +=
                (queries[queryStart + i] ?? Number.NaN) * (keys[keyStart(key) + i] ?? Number.NaN);
            return dot * scale;
          });
          const pattern = softmax(scores);
          for (let i = 0; i < dHead; i++) {
            target[queryStart + i] = pattern.reduce(
              (sum, weight, key) => sum + weight * (values[keyStart(key) + i] ?? Number.NaN),
              0,
            );
          }
        }
      }
    }
  },

  softmaxRows(x, rows, columns, out) {
    const [source, target] = [f32(x), f32(out)];
    for (let row = 0; row < rows; row++)
      target.set(
        softmax(Float64Array.from(source.subarray(row * columns, (row + 1) * columns))),
        row * columns,
      );
  },

  logSoftmaxRows(x, rows, columns, out) {
    const [source, target] = [f32(x), f32(out)];
    for (let row = 0; row < rows; row++) {
      const values = Float64Array.from(source.subarray(row * columns, (row + 1) * columns));
      const offset = logSumExp(values);
      target.set(
        values.map((value) => value - offset),
        row * columns,
      );
    }
  },

  crossEntropyRows(logits, targets, rows, columns, out) {
    const [source, picks, target] = [f32(logits), i32(targets), f32(out)];
    for (let row = 0; row < rows; row++) {
      const pick = picks[row] ?? -1;
      const values = Float64Array.from(source.subarray(row * columns, (row + 1) * columns));
      target[row] = pick < 0 ? 0 : logSumExp(values) - (values[pick] ?? Number.NaN);
    }
  },
};

function largest(values: Float64Array): number {
  return values.reduce((best, value) => Math.max(best, value), Number.NEGATIVE_INFINITY);
}

function softmax(values: Float64Array): Float64Array {
  const offset = largest(values);
  const powers = values.map((value) => Math.exp(value - offset));
  const total = powers.reduce((sum, value) => sum + value, 0);
  return powers.map((value) => value / total);
}

function logSumExp(values: Float64Array): number {
  const offset = largest(values);
  return offset + Math.log(values.reduce((sum, value) => sum + Math.exp(value - offset), 0));
}
