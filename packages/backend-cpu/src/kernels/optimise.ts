import type { Kernels } from "@latentkit/tensor";
import { address, type Runtime } from "../runtime.ts";

export function optimiseKernels({
  wasm,
}: Runtime): Pick<Kernels, "adam" | "normalizeRows" | "removeParallelRows"> {
  return {
    adam(parameter, gradient, firstMoment, secondMoment, plan) {
      const { learningRate, beta1, beta2, epsilon, weightDecay, step } = plan;
      const size = learningRate / (1 - beta1 ** step);
      const root = 1 / Math.sqrt(1 - beta2 ** step);
      const decay = 1 - learningRate * weightDecay;
      const [p, g, second, count] = [
        address(parameter),
        address(gradient),
        address(secondMoment),
        parameter.length,
      ];
      if (beta1 === 0)
        wasm.adamWithoutMomentum(p, g, second, count, beta2, 1 - beta2, size, root, epsilon, decay);
      else
        wasm.adam(
          p,
          g,
          address(firstMoment),
          second,
          count,
          beta1,
          1 - beta1,
          beta2,
          1 - beta2,
          size,
          root,
          epsilon,
          decay,
        );
    },

    normalizeRows(x, rows, columns) {
      wasm.normalizeRows(address(x), rows, columns);
    },

    removeParallelRows(gradient, weight, rows, columns) {
      wasm.removeParallelRows(address(gradient), address(weight), rows, columns);
    },
  };
}
