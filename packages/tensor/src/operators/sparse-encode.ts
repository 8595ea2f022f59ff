import { formatShape } from "@latentkit/core";
import { floats, integers, requireRank, requireValue, sameDevice, shapeError } from "../checks.ts";
import { SparseRows } from "../sparse-rows.ts";
import type { Tensor } from "../tensor.ts";

/** Options of {@link encodeTopK}. */
export interface EncodeTopKOptions {
  /** i32 [width]: latents to choose from are those with a value other than 0. All by default. */
  readonly allowed?: Tensor | null | undefined;
}

/**
 * TopK activation (Gao et al., 2024): each row of `pre [rows, width]` keeps its k largest entries, then ReLU. Each row's count is
 * k, or the number of allowed latents if that is smaller. Capacity k. Of equals the lower latent is kept.
 */
export function encodeTopK(pre: Tensor, k: number, options: EncodeTopKOptions = {}): SparseRows {
  const allowed = options.allowed ?? null;
  const input = floats("encodeTopK", pre, "pre");
  requireRank("encodeTopK", "pre", pre.shape, 2, "[rows, width]");
  const [rows = 0, width = 0] = pre.shape;
  requireValue(
    Number.isInteger(k) && k >= 1 && k <= width,
    "encodeTopK",
    "k",
    k,
    `an integer from 1 to ${width}, the width of pre ${formatShape(pre.shape)}`,
  );
  const allowedSlice = allowed === null ? null : integers("encodeTopK", allowed, "allowed");
  if (allowed !== null) {
    sameDevice("encodeTopK", pre, allowed);
    if (allowed.shape.length !== 1 || allowed.size !== width) {
      throw shapeError(
        "encodeTopK",
        `pre of shape ${formatShape(pre.shape)} and allowed of shape ${formatShape(allowed.shape)}`,
        "give an allowed of shape [width]",
      );
    }
  }
  return pre.device.scope(() => {
    const result = emptyRows(pre, rows, width, k);
    if (rows > 0) pre.device.backend.kernels.sparsifyTopK(input, k, allowedSlice, result.slices());
    return result;
  });
}

/** Options of {@link encodeJumpRelu}. */
export interface EncodeJumpReluOptions {
  /** Width of the window around the threshold in which entries are kept for its gradient; 0 when not training. */
  readonly bandwidth: number;
  /**
   * Entries that each row has room for; the width by default, which always suffices and takes as much memory as the dense
   * matrix. A row with more entries loses the last ones, and its count tells.
   */
  readonly capacity?: number | undefined;
}

/**
 * JumpReLU activation (2407.14435): keeps entries of `pre [rows, width]` that fire, `pre > threshold[latent]`, with value `pre`,
 * and with value 0 those that do not fire but lie within half a bandwidth of the threshold.
 *
 * `preActivations [rows, capacity]` holds the kept entries' pre-activations.
 */
export function encodeJumpRelu(
  pre: Tensor,
  threshold: Tensor,
  options: EncodeJumpReluOptions,
): { rows: SparseRows; preActivations: Tensor } {
  const { bandwidth } = options;
  const [input, thresholdSlice] = [
    floats("encodeJumpRelu", pre, "pre"),
    floats("encodeJumpRelu", threshold, "threshold"),
  ];
  sameDevice("encodeJumpRelu", pre, threshold);
  requireRank("encodeJumpRelu", "pre", pre.shape, 2, "[rows, width]");
  const [rows = 0, width = 0] = pre.shape;
  if (threshold.shape.length !== 1 || threshold.size !== width) {
    throw shapeError(
      "encodeJumpRelu",
      `pre of shape ${formatShape(pre.shape)} and threshold of shape ${formatShape(threshold.shape)}`,
      "give a threshold of shape [width]",
    );
  }
  requireValue(
    bandwidth >= 0 && Number.isFinite(bandwidth),
    "encodeJumpRelu",
    "bandwidth",
    bandwidth,
    "a number of at least 0",
  );
  const { capacity = width } = options;
  requireValue(
    Number.isInteger(capacity) && capacity >= 0 && capacity <= width,
    "encodeJumpRelu",
    "capacity",
    capacity,
    `an integer from 0 to ${width}, the width of pre ${formatShape(pre.shape)}`,
  );
  return pre.device.scope(() => {
    const result = emptyRows(pre, rows, width, capacity);
    const preActivations = pre.device.empty([rows, capacity]);
    if (pre.size > 0)
      pre.device.backend.kernels.sparsifyJumpRelu(
        input,
        thresholdSlice,
        bandwidth,
        result.slices(),
        preActivations.slice,
      );
    else if (rows > 0) pre.device.backend.kernels.fill(result.counts.slice, 0);
    return { rows: result, preActivations };
  });
}

function emptyRows(pre: Tensor, rows: number, width: number, capacity: number): SparseRows {
  const { device } = pre;
  return new SparseRows({
    width,
    counts: device.empty([rows], "i32"),
    indices: device.empty([rows, capacity], "i32"),
    values: device.empty([rows, capacity]),
  });
}
