import {
  floats,
  integers,
  requireRank,
  requireShape,
  requireValue,
  sameDevice,
} from "../checks.ts";
import type { Tensor } from "../tensor.ts";

/**
 * JumpReLU activation (2407.14435) as a dense matrix: `pre [rows, width]` where it is above the latent's threshold, else 0. Adds 1 to
 * `fired[latent]`, i32 [width], for each entry that fires. For rows so dense that `encodeJumpRelu` would be slower.
 */
export function jumpReluDense(pre: Tensor, threshold: Tensor, fired: Tensor): Tensor {
  const operator = "jumpReluDense";
  const [input, thresholds] = [
    floats(operator, pre, "pre"),
    floats(operator, threshold, "threshold"),
  ];
  const counts = integers(operator, fired, "fired");
  requireRank(operator, "pre", pre.shape, 2, "[rows, width]");
  const [rows = 0, width = 0] = pre.shape;
  for (const [name, other] of [
    ["threshold", threshold],
    ["fired", fired],
  ] as const) {
    sameDevice(operator, pre, other);
    requireShape(operator, name, other.shape, [width], `for pre of width ${width}`);
  }
  const out = pre.device.empty(pre.shape);
  if (out.size > 0) {
    pre.device.backend.kernels.jumpReluDense(input, thresholds, rows, width, out.slice, counts);
  }
  return out;
}

/** What {@link jumpReluDenseGradient} needs. */
export interface JumpReluDenseGradientOptions {
  /** [rows, width]. */
  readonly pre: Tensor;
  /** [width]. */
  readonly threshold: Tensor;
  /** Width eps of the rectangle kernel; above 0. */
  readonly bandwidth: number;
  /** The loss's gradient to each row's L0: lambda over the number of rows, for a mean over rows. */
  readonly sparsity: number;
  /** [rows, width]: the loss's gradient to the activations. Becomes the gradient to `pre`, in place. */
  readonly dValues: Tensor;
  /** [width]: the threshold's gradient is added here. */
  readonly dThreshold: Tensor;
}

/** `jumpReluGradient` of dense matrices, in place: `dValues` becomes 0 where nothing fires, `dThreshold` grows. */
export function jumpReluDenseGradient(options: JumpReluDenseGradientOptions): void {
  const operator = "jumpReluDenseGradient";
  const { pre, threshold, bandwidth, sparsity, dValues, dThreshold } = options;
  const input = floats(operator, pre, "pre");
  const [thresholds, gradients] = [
    floats(operator, threshold, "threshold"),
    floats(operator, dValues, "dValues"),
  ];
  const into = floats(operator, dThreshold, "dThreshold");
  requireRank(operator, "pre", pre.shape, 2, "[rows, width]");
  const [rows = 0, width = 0] = pre.shape;
  for (const other of [threshold, dValues, dThreshold]) sameDevice(operator, pre, other);
  requireShape(operator, "threshold", threshold.shape, [width], `for pre of width ${width}`);
  requireShape(operator, "dThreshold", dThreshold.shape, [width], `for pre of width ${width}`);
  requireShape(operator, "dValues", dValues.shape, pre.shape, "as pre has");
  const positive = bandwidth > 0 && Number.isFinite(bandwidth);
  requireValue(positive, operator, "bandwidth", bandwidth, "a number above 0");
  requireValue(Number.isFinite(sparsity), operator, "sparsity", sparsity, "a finite number");
  if (pre.size === 0) return;
  pre.device.backend.kernels.jumpReluDenseGradient(
    input,
    thresholds,
    rows,
    width,
    bandwidth,
    sparsity,
    gradients,
    gradients,
    into,
  );
}
