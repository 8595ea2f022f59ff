import type { OptimiseKernels, Slice } from "../backend.ts";
import { f32, type Floats } from "./storage.ts";

export const optimiseKernels: OptimiseKernels = {
  adam(parameter, gradient, firstMoment, secondMoment, plan, gradientScale) {
    const { learningRate, beta1, beta2, epsilon, weightDecay, l2 = 0, step } = plan;
    const scale = scaleOf(gradientScale);
    if (Number.isNaN(scale)) return;
    const [parameters, gradients, firsts, seconds] = [
      f32(parameter),
      f32(gradient),
      f32(firstMoment),
      f32(secondMoment),
    ];
    for (const [index, value] of parameters.entries()) {
      const g = scale * (gradients[index] ?? Number.NaN) + l2 * value;
      const first = beta1 === 0 ? g : beta1 * (firsts[index] ?? Number.NaN) + (1 - beta1) * g;
      const second = beta2 * (seconds[index] ?? Number.NaN) + (1 - beta2) * g * g;
      if (beta1 !== 0) firsts[index] = first;
      seconds[index] = second;
      const direction =
        first / (1 - beta1 ** step) / (Math.sqrt(second / (1 - beta2 ** step)) + epsilon);
      parameters[index] = value - learningRate * (direction + weightDecay * value);
    }
  },

  sgd(parameter, gradient, velocity, { learningRate, momentum, nesterov, l2 }, gradientScale) {
    const scale = scaleOf(gradientScale);
    if (Number.isNaN(scale)) return;
    const [parameters, gradients, velocities] = [f32(parameter), f32(gradient), f32(velocity)];
    for (const [index, value] of parameters.entries()) {
      const g = scale * (gradients[index] ?? Number.NaN) + l2 * value;
      let direction = g;
      if (momentum !== 0) {
        const next = momentum * (velocities[index] ?? Number.NaN) + g;
        velocities[index] = next;
        direction = nesterov ? g + momentum * next : next;
      }
      parameters[index] = value - learningRate * direction;
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

function scaleOf(gradientScale: Slice | null): number {
  return gradientScale === null ? 1 : (f32(gradientScale)[0] ?? Number.NaN);
}

function dot(a: Floats, b: Floats): number {
  let sum = 0;
  for (const [index, value] of a.entries()) sum += value * (b[index] ?? Number.NaN);
  return sum;
}
