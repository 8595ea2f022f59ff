import { formatShape, internalFault } from "@latentkit/core";
import { differentiableOutputs } from "../autograd/differentiable.ts";
import type { Slice, SparseRowsSlices } from "../backend.ts";
import { floats, requireRank, requireShape, sameDevice, shapeError } from "../checks.ts";
import type { Device } from "../device.ts";
import { SparseRows } from "../sparse-rows.ts";
import type { Tensor } from "../tensor.ts";
import { linear } from "./matmul.ts";
import {
  emptyRows,
  keptOfBatch,
  requireBandwidth,
  requireCapacity,
  requireThreshold,
  requireTopK,
} from "./sparse-encode.ts";
import { jumpReluBackward, reluGradient } from "./sparse-gradients.ts";
import {
  entriesOf,
  outerProducts,
  sparseDecode,
  sparseRowL0,
  sparseScatterAdd,
} from "./sparse-products.ts";

/** What makes latents of pre-activations. */
export type SparseActivation =
  | {
      /** See `encodeTopK`. */
      readonly kind: "topK";
      readonly k: number;
    }
  | {
      /** See `encodeBatchTopK`. */
      readonly kind: "batchTopK";
      readonly k: number;
      readonly capacity?: number | undefined;
    }
  | {
      /** See `encodeJumpRelu`. */
      readonly kind: "jumpRelu";
      /** [width], or one number for all latents. */
      readonly threshold: Tensor | number;
      /** 0 by default: no gradient to the threshold. */
      readonly bandwidth?: number | undefined;
      readonly capacity?: number | undefined;
    }
  | {
      /** `max(pre, 0)`, of which the entries above 0 are kept. */
      readonly kind: "relu";
      readonly capacity?: number | undefined;
    };

/** Options of {@link sparseEncode}. */
export interface SparseEncodeOptions {
  /** [rows, d]. */
  readonly x: Tensor;
  /** [width, d]: an SAE's encoder, a row for each latent. */
  readonly weight: Tensor;
  /** [width], or none. */
  readonly bias?: Tensor | null | undefined;
  readonly activation: SparseActivation;
}

/** What {@link sparseEncode} gives; the caller disposes all of it. */
export interface SparseEncoding {
  readonly rows: SparseRows;
  /** [rows]: how many latents fire; with JumpReLU its gradient is the threshold's pseudo-gradient. */
  readonly l0: Tensor;
  /** [rows, capacity], JumpReLU alone: the kept entries' pre-activations. */
  readonly preActivations: Tensor | null;
}

/** Elements of the dense pre-activations that exist at a time: 33 MB. */
const blockElements = 2 ** 23;

/**
 * An SAE's encoder as one operator: `activation(x @ weight^T + bias)` as sparse rows. The dense pre-activations [rows, width] exist
 * only for a block of rows at a time (for BatchTopK, which compares all rows: once, and not after the call).
 *
 * Gradients touch the kept latents alone. With d_e the gradient to the pre-activation of an entry e of row r and latent i (the value's
 * where it is above 0; see `encodeJumpRelu` for JumpReLU): `dWeight[i] += d_e x[r]`, `dBias[i] += d_e`, `dX[r] += d_e weight[i]`.
 */
export function sparseEncode(options: SparseEncodeOptions): SparseEncoding {
  const { x, weight, activation } = options;
  const bias = options.bias ?? null;
  const { rows, width } = checkInputs(x, weight, bias);
  const { device } = x;
  const plan = planOf(activation, x, rows, width);
  return device.scope(() => {
    const threshold = plan.threshold === null ? null : plan.threshold();
    const result = emptyRows(device, rows, width, plan.capacity);
    const preActivations =
      activation.kind === "jumpRelu" ? entriesOf(device, rows, plan.capacity) : null;
    // The products of the blocks are part of this operator, not of the tape.
    device.withTape(null, () => {
      const step = plan.wholeBatch ? rows : blockRowsOf(width);
      for (let start = 0; start < rows; start += step) {
        const end = Math.min(rows, start + step);
        device.scope(() => {
          const pre = linear(x.rows(start, end), weight, bias);
          const part = rowRange(result.slices(), start, end);
          plan.encode(device, pre, part, threshold, preActivations?.rows(start, end) ?? null);
        });
      }
    });
    const l0 = sparseRowL0(result);
    record({ options, plan, result, l0, preActivations, threshold });
    return { rows: result, l0, preActivations };
  });
}

interface Plan {
  readonly capacity: number;
  readonly bandwidth: number;
  /** Whether the activation looks at all rows at once. */
  readonly wholeBatch: boolean;
  /** Gives the thresholds, [width]; null where there are none. */
  readonly threshold: (() => Tensor) | null;
  /** Fills a block's rows; `kept` is the place of its kept pre-activations, if they are wanted. */
  readonly encode: (
    device: Device,
    pre: Tensor,
    out: SparseRowsSlices,
    threshold: Tensor | null,
    kept: Tensor | null,
  ) => void;
}

function planOf(activation: SparseActivation, x: Tensor, rows: number, width: number): Plan {
  const operator = "sparseEncode";
  if (activation.kind === "topK") {
    const { k } = activation;
    requireTopK(operator, k, width, `a weight of ${width} rows`);
    return {
      capacity: k,
      bandwidth: 0,
      wholeBatch: false,
      threshold: null,
      encode: (device, pre, out) => device.backend.kernels.sparsifyTopK(pre.slice, k, null, out),
    };
  }
  if (activation.kind === "batchTopK") {
    const count = keptOfBatch(operator, activation.k, rows, width);
    const { capacity = Math.min(width, count) } = activation;
    requireCapacity(operator, capacity, width);
    return {
      capacity,
      bandwidth: 0,
      wholeBatch: true,
      threshold: null,
      encode: (device, pre, out) => {
        if (count > 0) device.backend.kernels.sparsifyBatchTopK(pre.slice, count, out);
        else device.backend.kernels.fill(out.counts, 0);
      },
    };
  }
  const { capacity = width } = activation;
  requireCapacity(operator, capacity, width);
  const jump = activation.kind === "jumpRelu";
  const given = jump ? activation.threshold : 0;
  const bandwidth = jump ? (activation.bandwidth ?? 0) : 0;
  requireThreshold(operator, x, given, width, `a weight of ${width} rows`);
  requireBandwidth(operator, bandwidth);
  return {
    capacity,
    bandwidth,
    wholeBatch: false,
    threshold: () => (typeof given === "number" ? x.device.full([width], given) : given),
    encode: (device, pre, out, threshold, kept) => {
      const { kernels } = device.backend;
      // ReLU is JumpReLU with thresholds of 0; nobody wants its pre-activations, which are the values.
      const place = kept ?? device.empty([out.rows, capacity]);
      if (pre.size > 0 && threshold !== null)
        kernels.sparsifyJumpRelu(pre.slice, threshold.slice, bandwidth, out, place.slice);
      else kernels.fill(out.counts, 0);
    },
  };
}

function record(parts: {
  readonly options: SparseEncodeOptions;
  readonly plan: Plan;
  readonly result: SparseRows;
  readonly l0: Tensor;
  readonly preActivations: Tensor | null;
  readonly threshold: Tensor | null;
}): void {
  const { options, plan, result, l0, preActivations, threshold } = parts;
  const { x, weight } = options;
  const bias = options.bias ?? null;
  const { width } = result;
  const jump = preActivations !== null && threshold !== null;
  const inputs = [x, weight, ...(bias === null ? [] : [bias]), ...(jump ? [threshold] : [])];
  const biasAt = bias === null ? -1 : 2;
  const thresholdAt = jump ? inputs.length - 1 : -1;
  differentiableOutputs({
    operator: "sparseEncode",
    inputs,
    outputs: jump ? [result.values, preActivations, l0] : [result.values],
    saved: [
      result.counts,
      result.indices,
      result.values,
      ...(jump ? [preActivations, threshold] : []),
      x,
      weight,
    ],
    rule: (gradients, { saved, needs }) => {
      const [input = x, matrix = weight] = saved.slice(-2);
      const backward = (): { rows: SparseRows; dThreshold: Tensor | null } => {
        if (jump) return jumpReluBackward({ width, bandwidth: plan.bandwidth, saved, gradients });
        const own = SparseRows.of(width, saved);
        const [gradient = null] = gradients;
        if (gradient === null) throw internalFault("a rule ran without a gradient");
        return { rows: own.withValues(reluGradient(own, gradient)), dThreshold: null };
      };
      const { rows, dThreshold } = backward();
      const results: (Tensor | null)[] = [
        needs[0] === true ? sparseDecode(rows, matrix, null) : null,
        needs[1] === true ? outerProducts(rows, rows.values, input, weight.shape) : null,
      ];
      if (biasAt >= 0) results[biasAt] = needs[biasAt] === true ? latentSums(rows) : null;
      if (thresholdAt >= 0) results[thresholdAt] = dThreshold;
      return results;
    },
  });
}

/** For each latent the sum of its entries, [width]. */
function latentSums(rows: SparseRows): Tensor {
  const sums = rows.device.zeros([rows.width]);
  sparseScatterAdd(rows, rows.values, sums);
  return sums;
}

function checkInputs(
  x: Tensor,
  weight: Tensor,
  bias: Tensor | null,
): { rows: number; width: number } {
  const operator = "sparseEncode";
  floats(operator, x);
  floats(operator, weight, "weight");
  requireRank(operator, "x", x.shape, 2, "[rows, d]");
  requireRank(operator, "weight", weight.shape, 2, "[width, d]");
  sameDevice(operator, x, weight);
  const [rows = 0, d = 0] = x.shape;
  const [width = 0, columns = 0] = weight.shape;
  if (columns !== d) {
    throw shapeError(
      operator,
      `x of shape ${formatShape(x.shape)} and weight of shape ${formatShape(weight.shape)}`,
      "give a weight of shape [width, d] for an x of shape [rows, d]",
    );
  }
  if (bias !== null) {
    floats(operator, bias, "bias");
    sameDevice(operator, x, bias);
    const why = `for weight of shape ${formatShape(weight.shape)}`;
    requireShape(operator, "bias", bias.shape, [width], why);
  }
  return { rows, width };
}

function blockRowsOf(width: number): number {
  return Math.max(16, Math.floor(blockElements / Math.max(1, width)));
}

/** Rows `start .. end` of sparse rows. */
function rowRange(rows: SparseRowsSlices, start: number, end: number): SparseRowsSlices {
  const { capacity } = rows;
  return {
    ...rows,
    rows: end - start,
    counts: range(rows.counts, 1, start, end),
    indices: range(rows.indices, capacity, start, end),
    values: range(rows.values, capacity, start, end),
  };
}

function range(slice: Slice, columns: number, start: number, end: number): Slice {
  return { ...slice, offset: slice.offset + start * columns, length: (end - start) * columns };
}
