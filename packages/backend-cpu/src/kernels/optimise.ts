import type { OptimiseKernels } from "@latentkit/tensor";
import { address, addressOrNull, type Runtime } from "../runtime.ts";
import { optimiseBlock, optimiseGrain } from "../tasks/optimise.ts";

/** Elements that a chunk of rows should have. */
const rowGrain = 32_768;

export function optimiseKernels({ team }: Runtime): OptimiseKernels {
  const blocks = (length: number) => ({
    count: Math.ceil(length / optimiseBlock),
    grain: optimiseGrain,
  });
  return {
    adam(parameter, gradient, firstMoment, secondMoment, plan, gradientScale) {
      const { learningRate, beta1, beta2, epsilon, weightDecay, l2 = 0, step } = plan;
      const [p, g, m, v] = [
        address(parameter),
        address(gradient),
        beta1 === 0 ? 0 : address(firstMoment),
        address(secondMoment),
      ];
      // What is the same for all elements is worked out here, in f64.
      const size = learningRate / (1 - beta1 ** step);
      const root = 1 / Math.sqrt(1 - beta2 ** step);
      const decay = 1 - learningRate * weightDecay;
      const scale = addressOrNull(gradientScale);
      team.run(
        "adam",
        [p, g, m, v, parameter.length, scale, beta1, beta2, size, root, epsilon, decay, l2],
        blocks(parameter.length),
      );
    },

    sgd(parameter, gradient, velocity, { learningRate, momentum, nesterov, l2 }, gradientScale) {
      const [p, g] = [address(parameter), address(gradient)];
      const v = momentum === 0 ? 0 : address(velocity);
      const scale = addressOrNull(gradientScale);
      team.run(
        "sgd",
        [p, g, v, parameter.length, scale, learningRate, momentum, Number(nesterov), l2],
        blocks(parameter.length),
      );
    },

    normalizeRows(x, rows, columns) {
      team.run("normalizeRows", [address(x), columns], {
        count: rows,
        grain: rowGrain / Math.max(1, columns),
      });
    },

    removeParallelRows(gradient, weight, rows, columns) {
      team.run("removeParallelRows", [address(gradient), address(weight), columns], {
        count: rows,
        grain: rowGrain / Math.max(1, columns),
      });
    },
  };
}
