import { formatShape, internalFault } from "@latentkit/core";
import { floats, requireShape, requireValue, sameDevice } from "../checks.ts";
import { SparseRows } from "../sparse-rows.ts";
import type { Tensor } from "../tensor.ts";
import { addInto } from "./arithmetic.ts";
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
  /** [rows]: what each row adds to `sparsity`; nothing by default. */
  readonly dL0?: Tensor | null | undefined;
  /** [rows, capacity]: the loss's gradient to the values. */
  readonly dValues: Tensor;
  /** [width]: the threshold's gradient is added here. */
  readonly dThreshold: Tensor;
}

/**
 * JumpReLU's pseudo-gradients (2407.14435, section 3): gives the gradient to the pre-activations, [rows, capacity], and adds the
 * threshold's to `dThreshold`. With K the rectangle of width 1 and u = (pre - threshold) / bandwidth, each entry adds
 * `-(threshold * dValue + sparsity + dL0[row]) / bandwidth * K(u)`.
 */
export function jumpReluGradient(options: JumpReluGradientOptions): Tensor {
  const { rows, preActivations, threshold, bandwidth, sparsity, dValues, dThreshold } = options;
  const dL0 = options.dL0 ?? null;
  const preSlice = entries("jumpReluGradient", "preActivations", rows, preActivations);
  const dValuesSlice = entries("jumpReluGradient", "dValues", rows, dValues);
  const thresholdSlice = floats("jumpReluGradient", threshold, "threshold");
  const dThresholdSlice = floats("jumpReluGradient", dThreshold, "dThreshold");
  sameDevice("jumpReluGradient", threshold, dValues);
  sameDevice("jumpReluGradient", dThreshold, dValues);
  const why = `for sparse rows of width ${rows.width} with dValues of shape ${formatShape(dValues.shape)}`;
  requireShape("jumpReluGradient", "threshold", threshold.shape, [rows.width], why);
  requireShape("jumpReluGradient", "dThreshold", dThreshold.shape, [rows.width], why);
  if (dL0 !== null) {
    sameDevice("jumpReluGradient", dL0, dValues);
    requireShape("jumpReluGradient", "dL0", dL0.shape, [rows.rows], `for ${rows.rows} sparse rows`);
  }
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
      dL0 === null ? null : floats("jumpReluGradient", dL0, "dL0"),
      dValuesSlice,
      out.slice,
      dThresholdSlice,
    );
  }
  return out;
}

/** What {@link jumpReluBackward} works from. */
export interface JumpReluBackwardOptions {
  readonly width: number;
  /** May be 0: then no entry lies in the window. */
  readonly bandwidth: number;
  /** Counts, indices, values, pre-activations and thresholds. */
  readonly saved: readonly Tensor[];
  /** Gradients to the values, the pre-activations and the L0. */
  readonly gradients: readonly (Tensor | null)[];
}

/** A JumpReLU encoder's gradients: rows of the gradients to the kept pre-activations, and the threshold's. For rules. @internal */
export function jumpReluBackward(options: JumpReluBackwardOptions): {
  readonly rows: SparseRows;
  readonly dThreshold: Tensor;
} {
  const { width, bandwidth, saved, gradients } = options;
  const rows = SparseRows.of(width, saved);
  const [, , , preActivations, threshold] = saved;
  if (preActivations === undefined || threshold === undefined)
    throw internalFault("a JumpReLU encoder saves five tensors");
  const [dValues, dPreActivations = null, dL0 = null] = gradients;
  const { device } = rows;
  const dPre = device.empty(rows.values.shape);
  const dThreshold = device.zeros([width]);
  if (dPre.size > 0) {
    device.backend.kernels.jumpReluGradient(
      rows.slices(),
      preActivations.slice,
      threshold.slice,
      bandwidth,
      0,
      dL0?.slice ?? null,
      (dValues ?? device.zeros(rows.values.shape)).slice,
      dPre.slice,
      dThreshold.slice,
    );
    if (dPreActivations !== null) addInto(dPre, dPreActivations);
  }
  return { rows: rows.withValues(dPre), dThreshold };
}
