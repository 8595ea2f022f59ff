import { formatShape } from "@latentkit/core";
import { floats, requireShape, requireValue, sameDevice } from "../checks.ts";
import type { SparseRows } from "../sparse-rows.ts";
import type { Tensor } from "../tensor.ts";
import { entries } from "./sparse-products.ts";

/** Gradient of ReLU and TopK: `dValues` where the value is above 0, else 0. Both [rows, capacity]. */
export function reluGradient(rows: SparseRows, dValues: Tensor): Tensor {
  const input = entries("reluGradient", "dValues", rows, dValues);
  const out = rows.device.empty(dValues.shape);
  if (out.size > 0) rows.device.backend.kernels.reluGradient(rows.slices(), input, out.slice);
  return out;
}

/** What {@link jumpReluGradient} needs. */
export interface JumpReluGradientOptions {
  /** From `encodeJumpRelu`, with the same bandwidth. */
  readonly rows: SparseRows;
  /** [rows, capacity], from `encodeJumpRelu`. */
  readonly preActivations: Tensor;
  /** [width]. */
  readonly threshold: Tensor;
  /** Width eps of the rectangle kernel; above 0. */
  readonly bandwidth: number;
  /** The loss's gradient to each row's L0: lambda over the number of rows, for a mean over rows. */
  readonly sparsity: number;
  /** [rows, capacity]: the loss's gradient to the values. */
  readonly dValues: Tensor;
  /** [width]: the threshold's gradient is added here. */
  readonly dThreshold: Tensor;
}

/**
 * JumpReLU's pseudo-gradients (2407.14435, section 3): gives the gradient to the pre-activations, [rows, capacity], and adds the
 * threshold's to `dThreshold`. With K the rectangle of width 1 and u = (pre - threshold) / bandwidth, each entry adds
 * `-(threshold * dValue + sparsity) / bandwidth * K(u)`.
 */
export function jumpReluGradient(options: JumpReluGradientOptions): Tensor {
  const { rows, preActivations, threshold, bandwidth, sparsity, dValues, dThreshold } = options;
  const preSlice = entries("jumpReluGradient", "preActivations", rows, preActivations);
  const dValuesSlice = entries("jumpReluGradient", "dValues", rows, dValues);
  const thresholdSlice = floats("jumpReluGradient", threshold, "threshold");
  const dThresholdSlice = floats("jumpReluGradient", dThreshold, "dThreshold");
  sameDevice("jumpReluGradient", threshold, dValues);
  sameDevice("jumpReluGradient", dThreshold, dValues);
  const why = `for sparse rows of width ${rows.width} with dValues of shape ${formatShape(dValues.shape)}`;
  requireShape("jumpReluGradient", "threshold", threshold.shape, [rows.width], why);
  requireShape("jumpReluGradient", "dThreshold", dThreshold.shape, [rows.width], why);
  requireValue(
    bandwidth > 0 && Number.isFinite(bandwidth),
    "jumpReluGradient",
    "bandwidth",
    bandwidth,
    "a number above 0",
  );
  requireValue(
    Number.isFinite(sparsity),
    "jumpReluGradient",
    "sparsity",
    sparsity,
    "a finite number",
  );
  const out = rows.device.empty(dValues.shape);
  if (out.size > 0) {
    rows.device.backend.kernels.jumpReluGradient(
      rows.slices(),
      preSlice,
      thresholdSlice,
      bandwidth,
      sparsity,
      dValuesSlice,
      out.slice,
      dThresholdSlice,
    );
  }
  return out;
}
