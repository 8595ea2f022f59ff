import type { Kernels } from "../backend.ts";
import { entriesOf, insideWindow } from "./sparse.ts";
import { f32, i32 } from "./storage.ts";

type GradientKernels = Pick<
  Kernels,
  "reluGradient" | "jumpReluGradient" | "jumpReluDense" | "jumpReluDenseGradient"
>;

export const gradientKernels: GradientKernels = {
  reluGradient(rows, dValues, dPre) {
    const [values, gradients, target] = [f32(rows.values), f32(dValues), f32(dPre)];
    for (const { entry } of entriesOf(rows))
      target[entry] = (values[entry] ?? 0) > 0 ? (gradients[entry] ?? Number.NaN) : 0;
  },

  jumpReluGradient(
    rows,
    preActivations,
    threshold,
    bandwidth,
    sparsity,
    dL0,
    dValues,
    dPre,
    dThreshold,
  ) {
    const [pre, thresholds, gradients] = [f32(preActivations), f32(threshold), f32(dValues)];
    const rowPenalties = dL0 === null ? null : f32(dL0);
    const [target, thresholdTarget] = [f32(dPre), f32(dThreshold)];
    const sums = Float64Array.from(thresholdTarget);
    for (const { row, latent, entry } of entriesOf(rows)) {
      const value = pre[entry] ?? Number.NaN;
      const theta = thresholds[latent] ?? Number.NaN;
      const gradient = gradients[entry] ?? Number.NaN;
      const penalty = sparsity + (rowPenalties?.[row] ?? 0);
      target[entry] = value > theta ? gradient : 0;
      if (insideWindow(value, theta, bandwidth))
        sums[latent] = (sums[latent] ?? 0) - (theta * gradient + penalty) / bandwidth;
    }
    thresholdTarget.set(sums);
  },

  jumpReluDense(pre, threshold, rows, width, out, fired) {
    const [source, thresholds, target, counts] = [f32(pre), f32(threshold), f32(out), i32(fired)];
    for (let entry = 0; entry < rows * width; entry++) {
      const value = source[entry] ?? Number.NaN;
      const fires = value > (thresholds[entry % width] ?? Number.NaN);
      target[entry] = fires ? value : 0;
      if (fires) counts[entry % width] = (counts[entry % width] ?? 0) + 1;
    }
  },

  jumpReluDenseGradient(
    pre,
    threshold,
    rows,
    width,
    bandwidth,
    sparsity,
    dValues,
    dPre,
    dThreshold,
  ) {
    const [source, thresholds, gradients] = [f32(pre), f32(threshold), f32(dValues)];
    const [target, thresholdTarget] = [f32(dPre), f32(dThreshold)];
    const sums = Float64Array.from(thresholdTarget);
    for (let entry = 0; entry < rows * width; entry++) {
      const latent = entry % width;
      const value = source[entry] ?? Number.NaN;
      const theta = thresholds[latent] ?? Number.NaN;
      const gradient = gradients[entry] ?? Number.NaN;
      target[entry] = value > theta ? gradient : 0;
      if (insideWindow(value, theta, bandwidth))
        sums[latent] = (sums[latent] ?? 0) - (theta * gradient + sparsity) / bandwidth;
    }
    thresholdTarget.set(sums);
  },
};
