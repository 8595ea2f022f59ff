import type { Kernels } from "../backend.ts";
import { f32 } from "./storage.ts";

type OptimiseKernels = Pick<Kernels, "adam" | "normalizeRows" | "removeParallelRows">;

export const optimiseKernels: OptimiseKernels = {
  adam(parameter, gradient, firstMoment, secondMoment, plan) {
    const { learningRate, beta1, beta2, epsilon, weightDecay, step } = plan;
    const [parameters, gradients, firsts, seconds] = [
      f32(parameter),
      f32(gradient),
      f32(firstMoment),
      f32(secondMoment),
    ];
    for (const [index, value] of parameters.entries()) {
      const g = gradients[index] ?? Number.NaN;
      const first = beta1 === 0 ? g : beta1 * (firsts[index] ?? Number.NaN) + (1 - beta1) * g;
      const second = beta2 * (seconds[index] ?? Number.NaN) + (1 - beta2) * g * g;
      if (beta1 !== 0) firsts[index] = first;
      seconds[index] = second;
      const direction =
        first / (1 - beta1 ** step) / (Math.sqrt(second / (1 - beta2 ** step)) + epsilon);
      parameters[index] = value - learningRate * (direction + weightDecay * value);
    }
  },

  normalizeRows(x, rows, columns) {
    const values = f32(x);
    for (let row = 0; row < rows; row++) {
      const own = values.subarray(row * columns, (row + 1) * columns);
      const norm = Math.sqrt(dot(own, own));
      if (norm > 0) for (const [index, value] of own.entries()) own[index] = value / norm;
    }
  },

  removeParallelRows(gradient, weight, rows, columns) {
    const [gradients, weights] = [f32(gradient), f32(weight)];
    for (let row = 0; row < rows; row++) {
      const g = gradients.subarray(row * columns, (row + 1) * columns);
      const w = weights.subarray(row * columns, (row + 1) * columns);
      const squaredNorm = dot(w, w);
      if (squaredNorm === 0) continue;
      const factor = dot(g, w) / squaredNorm;
      for (const [index, value] of g.entries())
        g[index] = value - factor * (w[index] ?? Number.NaN);
    }
  },
};

function dot(a: Float32Array, b: Float32Array): number {
  return a.reduce((sum, value, index) => sum + value * (b[index] ?? Number.NaN), 0);
}
