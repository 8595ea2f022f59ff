import { formatShape } from "@latentkit/core";
import { differentiable, differentiableOutputs } from "../autograd/differentiable.ts";
import { floats, integers, requireRank, requireValue, sameDevice, shapeError } from "../checks.ts";
import type { Device } from "../device.ts";
import { SparseRows } from "../sparse-rows.ts";
import type { Tensor } from "../tensor.ts";
import { jumpReluBackward, reluGradient } from "./sparse-gradients.ts";
import { entriesOf, sparseRowL0, sparseToDense } from "./sparse-products.ts";

/** Options of {@link encodeTopK}. */
export interface EncodeTopKOptions {
  /** i32 [width]: latents to choose from are those with a value other than 0. All by default. */
  readonly allowed?: Tensor | null | undefined;
}

/**
 * TopK activation (Gao et al., 2024): each row of `pre [rows, width]` keeps its k largest entries, then ReLU. Each row's count is
 * k, or the number of allowed latents if that is smaller. Capacity k. Of equals the lower latent is kept; NaN counts as
 * -infinity.
 *
 * Gradient: that of the kept entries above 0, a dense [rows, width] matrix. `sparseEncode` does without the matrix.
 */
export function encodeTopK(pre: Tensor, k: number, options: EncodeTopKOptions = {}): SparseRows {
  const allowed = options.allowed ?? null;
  const input = floats("encodeTopK", pre, "pre");
  requireRank("encodeTopK", "pre", pre.shape, 2, "[rows, width]");
  const [rows = 0, width = 0] = pre.shape;
  requireTopK("encodeTopK", k, width, `pre ${formatShape(pre.shape)}`);
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
    const result = emptyRows(pre.device, rows, width, k);
    if (rows > 0) pre.device.backend.kernels.sparsifyTopK(input, k, allowedSlice, result.slices());
    return recordRelu("encodeTopK", pre, result);
  });
}

/** Options of {@link encodeBatchTopK}. */
export interface EncodeBatchTopKOptions {
  /**
   * Entries that each row has room for; by default the width, or all that are kept if that is less, which always suffices and
   * may take as much memory as the dense matrix. A row with more entries loses the last ones, and its count tells:
   * see `SparseRows.overflow`.
   */
  readonly capacity?: number | undefined;
}

/**
 * BatchTopK activation (Bussmann et al., 2024): of all of `pre [rows, width]` the `floor(rows * k)` largest are kept, then ReLU, so
 * that a row may have more entries than k or fewer. Of equals the one that comes first in the matrix is kept; NaN counts as
 * -infinity. `k`, the mean number of a row's entries, need not be an integer.
 *
 * Which entries a row keeps depends on the other rows. At inference take `encodeJumpRelu` with one threshold for all latents, the
 * running mean of `sparseSmallest` over training batches.
 *
 * Gradient: that of the kept entries above 0, a dense [rows, width] matrix. `sparseEncode` does without the matrix.
 */
export function encodeBatchTopK(
  pre: Tensor,
  k: number,
  options: EncodeBatchTopKOptions = {},
): SparseRows {
  const input = floats("encodeBatchTopK", pre, "pre");
  requireRank("encodeBatchTopK", "pre", pre.shape, 2, "[rows, width]");
  const [rows = 0, width = 0] = pre.shape;
  const kept = keptOfBatch("encodeBatchTopK", k, rows, width);
  const { capacity = Math.min(width, kept) } = options;
  requireCapacity("encodeBatchTopK", capacity, width);
  return pre.device.scope(() => {
    const result = emptyRows(pre.device, rows, width, capacity);
    const { kernels } = pre.device.backend;
    if (kept > 0) kernels.sparsifyBatchTopK(input, kept, result.slices());
    else if (rows > 0) kernels.fill(result.counts.slice, 0);
    return recordRelu("encodeBatchTopK", pre, result);
  });
}

/** Options of {@link encodeJumpRelu}. */
export interface EncodeJumpReluOptions {
  /** Width of the window around the threshold in which entries are kept for its gradient; 0 when not training. */
  readonly bandwidth: number;
  /**
   * Entries that each row has room for; the width by default, which always suffices and takes as much memory as the dense
   * matrix. A row with more entries loses the last ones, and its count tells: see `SparseRows.overflow`.
   */
  readonly capacity?: number | undefined;
}

/** What {@link encodeJumpRelu} gives. */
export interface JumpReluEncoding {
  readonly rows: SparseRows;
  /** [rows, capacity]: the kept entries' pre-activations. */
  readonly preActivations: Tensor;
  /** [rows]: how many latents fire. Its gradient is the pseudo-gradient to the threshold, so that lambda * mean(l0) is a penalty. */
  readonly l0: Tensor;
}

/**
 * JumpReLU activation (2407.14435): keeps entries of `pre [rows, width]` that fire, `pre > threshold[latent]`, with value `pre`,
 * and with value 0 those that do not fire but lie within half a bandwidth of the threshold. `threshold` is [width], or one number
 * for all latents.
 *
 * Gradients: to `pre` that of the entries that fire, a dense matrix (`sparseEncode` does without it), and that of
 * `preActivations`; to the threshold the paper's pseudo-gradients, with K the rectangle of width 1 and u = (pre - threshold) / bandwidth:
 * `-(threshold / bandwidth) K(u)` of each value and `-(1 / bandwidth) K(u)` of `l0`. They are none with a bandwidth of 0.
 */
export function encodeJumpRelu(
  pre: Tensor,
  threshold: Tensor | number,
  options: EncodeJumpReluOptions,
): JumpReluEncoding {
  const { bandwidth } = options;
  const input = floats("encodeJumpRelu", pre, "pre");
  requireRank("encodeJumpRelu", "pre", pre.shape, 2, "[rows, width]");
  const [rows = 0, width = 0] = pre.shape;
  requireThreshold("encodeJumpRelu", pre, threshold, width, `pre ${formatShape(pre.shape)}`);
  requireBandwidth("encodeJumpRelu", bandwidth);
  const { capacity = width } = options;
  requireCapacity("encodeJumpRelu", capacity, width);
  const { device } = pre;
  return device.scope(() => {
    const thresholds = typeof threshold === "number" ? device.full([width], threshold) : threshold;
    const result = emptyRows(device, rows, width, capacity);
    const preActivations = entriesOf(device, rows, capacity);
    const { kernels } = device.backend;
    if (pre.size > 0)
      kernels.sparsifyJumpRelu(
        input,
        thresholds.slice,
        bandwidth,
        result.slices(),
        preActivations.slice,
      );
    else if (rows > 0) kernels.fill(result.counts.slice, 0);
    const l0 = sparseRowL0(result);
    differentiableOutputs({
      operator: "encodeJumpRelu",
      inputs: [pre, thresholds],
      outputs: [result.values, preActivations, l0],
      saved: [result.counts, result.indices, result.values, preActivations, thresholds],
      rule: (gradients, { saved, needs }) => {
        const own = jumpReluBackward({ width, bandwidth, saved, gradients });
        return [
          needs[0] === true ? sparseToDense(own.rows) : null,
          needs[1] === true ? own.dThreshold : null,
        ];
      },
    });
    return { rows: result, preActivations, l0 };
  });
}

/** Notes that the rows' values are `pre` at their places, where above 0. */
function recordRelu(operator: string, pre: Tensor, rows: SparseRows): SparseRows {
  const { width, counts, indices, values } = rows;
  differentiable(values, {
    operator,
    inputs: [pre],
    saved: [counts, indices, values],
    rule: (gradient, { saved }) => {
      const own = SparseRows.of(width, saved);
      return [sparseToDense(own.withValues(reluGradient(own, gradient)))];
    },
  });
  return rows;
}

/** Room for rows that a kernel will fill. */
export function emptyRows(
  device: Device,
  rows: number,
  width: number,
  capacity: number,
): SparseRows {
  return new SparseRows({
    width,
    counts: device.empty([rows], "i32"),
    indices: device.empty([rows, capacity], "i32"),
    values: entriesOf(device, rows, capacity),
  });
}

/** Checks the k of TopK. */
export function requireTopK(operator: string, k: number, width: number, where: string): void {
  requireValue(
    Number.isInteger(k) && k >= 1 && k <= width,
    operator,
    "k",
    k,
    `an integer from 1 to ${width}, the width of ${where}`,
  );
}

/** How many elements BatchTopK keeps of a batch; checks its k. */
export function keptOfBatch(operator: string, k: number, rows: number, width: number): number {
  requireValue(k > 0 && k <= width, operator, "k", k, `above 0 and at most ${width}, the width`);
  return Math.floor(rows * k);
}

/** Checks the threshold of JumpReLU, which has to be where `like` is. */
export function requireThreshold(
  operator: string,
  like: Tensor,
  threshold: Tensor | number,
  width: number,
  where: string,
): void {
  if (typeof threshold === "number") {
    requireValue(Number.isFinite(threshold), operator, "threshold", threshold, "a finite number");
    return;
  }
  floats(operator, threshold, "threshold");
  if (threshold.shape.length !== 1 || threshold.size !== width) {
    throw shapeError(
      operator,
      `${where} and threshold of shape ${formatShape(threshold.shape)}`,
      `give a threshold of shape [${width}]`,
    );
  }
  sameDevice(operator, like, threshold);
}

/** Checks the bandwidth of JumpReLU. */
export function requireBandwidth(operator: string, bandwidth: number): void {
  requireValue(
    bandwidth >= 0 && Number.isFinite(bandwidth),
    operator,
    "bandwidth",
    bandwidth,
    "a number of at least 0",
  );
}

/** Checks the entries that a row has room for. */
export function requireCapacity(operator: string, capacity: number, width: number): void {
  requireValue(
    Number.isInteger(capacity) && capacity >= 0 && capacity <= width,
    operator,
    "capacity",
    capacity,
    `an integer from 0 to ${width}, the width`,
  );
}
