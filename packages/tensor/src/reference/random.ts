import { Random } from "@latentkit/core";
import type { RandomKernels } from "../backend.ts";
import { softmax } from "./rows.ts";
import { f32, i32 } from "./storage.ts";

export const randomKernels: RandomKernels = {
  randomBits(state, out) {
    const [random, target] = [Random.restore(state), i32(out)];
    for (let index = 0; index < target.length; index++) target[index] = random.bits();
  },

  randomUniform(state, low, high, out) {
    const [random, target] = [Random.restore(state), f32(out)];
    const [start, span] = [Math.fround(low), Math.fround(Math.fround(high) - Math.fround(low))];
    for (let index = 0; index < target.length; index++)
      target[index] = Math.fround(start + Math.fround(span * random.uniform()));
  },

  randomNormal(state, mean, deviation, out) {
    const [random, target] = [Random.restore(state), f32(out)];
    for (let index = 0; index < target.length; index++)
      target[index] = mean + deviation * random.normal();
  },

  randomPermutation(state, out) {
    const [random, target] = [Random.restore(state), i32(out)];
    const keys = Array.from(target, (_, index) => ({
      high: random.bits(),
      low: random.bits(),
      index,
    }));
    keys.sort((a, b) => a.high - b.high || a.low - b.low || a.index - b.index);
    for (const [rank, { index }] of keys.entries()) target[rank] = index;
  },

  categoricalRows(state, logits, rows, columns, out) {
    const [random, source, target] = [Random.restore(state), f32(logits), i32(out)];
    for (let row = 0; row < rows; row++) {
      const goal = (random.bits() * 2 ** 21 + (random.bits() >>> 11)) * 2 ** -53;
      const probabilities = softmax(
        Float64Array.from(source.subarray(row * columns, (row + 1) * columns)),
      );
      let sum = 0;
      let pick = -1;
      // Should rounding leave the sum just below the goal, the last column with a probability is it.
      for (let column = 0; column < columns && sum <= goal; column++) {
        const probability = probabilities[column] ?? 0;
        sum += probability;
        if (probability > 0) pick = column;
      }
      target[row] = Number.isNaN(sum) ? -1 : pick;
    }
  },

  dropout(state, x, rate, out) {
    const [random, source, target] = [Random.restore(state), f32(x), f32(out)];
    for (let index = 0; index < target.length; index++)
      target[index] = random.uniform() >= rate ? (source[index] ?? Number.NaN) / (1 - rate) : 0;
  },

  bernoulli(state, probabilities, out) {
    const [random, source, target] = [Random.restore(state), f32(probabilities), f32(out)];
    for (let index = 0; index < target.length; index++)
      target[index] = random.uniform() < (source[index] ?? 0) ? 1 : 0;
  },
};
