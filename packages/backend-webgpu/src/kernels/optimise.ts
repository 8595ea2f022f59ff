import type { OptimiseKernels, Slice } from "@latentkit/tensor";
import { read, write } from "../issue/operands.ts";
import { f32, type Runtime, u32 } from "../runtime.ts";
import { runningSum } from "./reduce.ts";
import { lanesFor, overRow, rowSum } from "./rows.ts";

/** The gradient's factor; where it is NaN the update is left out. */
const scaleText = (scale: Slice | null): string =>
  scale === null
    ? "let scale = 1.0;"
    : "let scale = load_scale(0u);\n  if (is_nan(scale)) { return; }";

/** Optimisers element by element, everything in place: each of parameter, gradient and moments moves once. Rows likewise, twice. */
export function optimiseKernels(runtime: Runtime): OptimiseKernels {
  return {
    adam(parameter, gradient, firstMoment, secondMoment, plan, gradientScale) {
      const { learningRate, beta1, beta2, epsilon, weightDecay, l2 = 0, step } = plan;
      const momentum = beta1 !== 0;
      runtime.issue({
        name: "adam",
        operands: {
          parameter: write(parameter),
          gradient: read(gradient),
          first: momentum ? write(firstMoment) : null,
          second: write(secondMoment),
          scale: gradientScale === null ? null : read(gradientScale),
        },
        parameters: {
          count: u32(parameter.length),
          learningRate: f32(learningRate),
          beta1: f32(beta1),
          // Taken in f64: 1 - beta loses digits in f32.
          rest1: f32(1 - beta1),
          beta2: f32(beta2),
          rest2: f32(1 - beta2),
          correction1: f32(1 - beta1 ** step),
          correction2: f32(1 - beta2 ** step),
          epsilon: f32(epsilon),
          weightDecay: f32(weightDecay),
          l2: f32(l2),
        },
        groups: Math.ceil(parameter.length / 256),
        body: () => `
fn run(group: u32, lane: u32) {
  let i = group * LANES + lane;
  if (i >= p.count) { return; }
  ${scaleText(gradientScale)}
  let value = load_parameter(i);
  let g = scale * load_gradient(i) + p.l2 * value;
  ${momentum ? "let first = p.beta1 * load_first(i) + p.rest1 * g;\n  store_first(i, first);" : "let first = g;"}
  let second = p.beta2 * load_second(i) + p.rest2 * g * g;
  store_second(i, second);
  let direction = first / p.correction1 / (sqrt_of(second / p.correction2) + p.epsilon);
  store_parameter(i, value - p.learningRate * (direction + p.weightDecay * value));
}`,
      });
    },

    sgd(parameter, gradient, velocity, { learningRate, momentum, nesterov, l2 }, gradientScale) {
      const moving = momentum !== 0;
      runtime.issue({
        name: `sgd:${nesterov ? "nesterov" : ""}`,
        operands: {
          parameter: write(parameter),
          gradient: read(gradient),
          velocity: moving ? write(velocity) : null,
          scale: gradientScale === null ? null : read(gradientScale),
        },
        parameters: {
          count: u32(parameter.length),
          learningRate: f32(learningRate),
          momentum: f32(momentum),
          l2: f32(l2),
        },
        groups: Math.ceil(parameter.length / 256),
        body: () => `
fn run(group: u32, lane: u32) {
  let i = group * LANES + lane;
  if (i >= p.count) { return; }
  ${scaleText(gradientScale)}
  let value = load_parameter(i);
  let g = scale * load_gradient(i) + p.l2 * value;
  var direction = g;
  ${
    moving
      ? `let next = p.momentum * load_velocity(i) + g;
  store_velocity(i, next);
  direction = ${nesterov ? "g + p.momentum * next" : "next"};`
      : ""
  }
  store_parameter(i, value - p.learningRate * direction);
}`,
      });
    },

    normalizeRows(x, rows, columns) {
      runtime.issue({
        name: "normalizeRows",
        operands: { x: write(x) },
        parameters: { columns: u32(columns) },
        groups: rows,
        lanes: lanesFor(columns),
        body: () => `${runningSum}
fn run(group: u32, lane: u32) {
  ${rowSum("squares", "load_x(at) * load_x(at)")}
  let norm = sqrt_of(squares);
  if (!(norm > 0.0)) { return; }
  ${overRow("store_x(at, load_x(at) / norm);")}
}`,
      });
    },

    removeParallelRows(gradient, weight, rows, columns) {
      runtime.issue({
        name: "removeParallelRows",
        operands: { gradient: write(gradient), weight: read(weight) },
        parameters: { columns: u32(columns) },
        groups: rows,
        lanes: lanesFor(columns),
        body: () => `${runningSum}
fn run(group: u32, lane: u32) {
  ${rowSum("squares", "load_weight(at) * load_weight(at)")}
  ${rowSum("products", "load_gradient(at) * load_weight(at)", 2)}
  if (is_zero(squares)) { return; }
  let part = products / squares;
  ${overRow("store_gradient(at, load_gradient(at) - part * load_weight(at));")}
}`,
      });
    },
  };
}
