import { formatShape, type Shape } from "@latentkit/core";
import { differentiable } from "../autograd/differentiable.ts";
import { refuseInPlace } from "../autograd/in-place.ts";
import type { Slice } from "../backend.ts";
import { floats, integers, requireShape, sameDevice, shapeError } from "../checks.ts";
import type { Device } from "../device.ts";
import { SparseRows } from "../sparse-rows.ts";
import type { Tensor } from "../tensor.ts";
import { sum } from "./reduce.ts";

/**
 * `bias + rows @ weight`: weight [width, columns] (an SAE's decoder), bias [columns] or null, result [rows, columns].
 *
 * Gradients, with g that to the result: {@link sparseDot} of the weight and g to the rows' values, {@link sparseOuterAdd} of
 * the values and g to the weight, the sum of g's rows to the bias. They touch the rows' entries only.
 */
export function sparseDecode(rows: SparseRows, weight: Tensor, bias: Tensor | null): Tensor {
  const matrix = floats("sparseDecode", weight, "weight");
  const columns = matrixColumns("sparseDecode", "weight", rows, weight);
  const biasSlice = bias === null ? null : floats("sparseDecode", bias, "bias");
  if (bias !== null) {
    sameDevice("sparseDecode", weight, bias);
    requireShape(
      "sparseDecode",
      "bias",
      bias.shape,
      [columns],
      `for weight of shape ${formatShape(weight.shape)}`,
    );
  }
  const out = rows.device.empty([rows.rows, columns]);
  const { kernels } = rows.device.backend;
  if (out.size > 0) {
    if (rows.capacity > 0)
      kernels.sparseDecode(rows.slices(), matrix, biasSlice, columns, out.slice);
    else if (biasSlice === null) kernels.fill(out.slice, 0);
    else kernels.stridedRead(biasSlice, [rows.rows, columns], [0, 1], out.slice);
  }
  return differentiable(out, {
    operator: "sparseDecode",
    inputs: bias === null ? [rows.values, weight] : [rows.values, weight, bias],
    saved: [...saved(rows), weight],
    rule: (gradient, { saved: [counts, indices, values, matrixOfRule = weight], needs }) => {
      const own = savedRows(rows.width, counts, indices, values);
      return [
        needs[0] === true ? sparseDot(own, matrixOfRule, gradient) : null,
        needs[1] === true ? outerProducts(own, own.values, gradient, weight.shape) : null,
        needs[2] === true ? sum(gradient, { axis: 0 }) : null,
      ];
    },
  });
}

/**
 * For each entry the product of its latent's row of `weight [width, columns]` with its row of `x [rows, columns]`: the gradient
 * of {@link sparseDecode} to the values when `x` is the gradient to its result. Result [rows, capacity], undefined beyond the
 * rows' counts.
 *
 * Gradients, with g that to the result: {@link sparseOuterAdd} of g and x to the weight, {@link sparseDecode} of g as values and
 * the weight to x.
 */
export function sparseDot(rows: SparseRows, weight: Tensor, x: Tensor): Tensor {
  const [matrix, input] = [floats("sparseDot", weight, "weight"), floats("sparseDot", x)];
  const columns = matrixColumns("sparseDot", "weight", rows, weight);
  requireRows("sparseDot", rows, x, columns);
  const out = entriesOf(rows.device, rows.rows, rows.capacity);
  const { kernels } = rows.device.backend;
  if (out.size > 0) {
    if (columns > 0) kernels.sparseDot(rows.slices(), matrix, input, columns, out.slice);
    else kernels.fill(out.slice, 0);
  }
  return differentiable(out, {
    operator: "sparseDot",
    inputs: [weight, x],
    saved: [rows.counts, rows.indices, weight, x],
    rule: (gradient, { saved: [counts, indices, matrixOfRule = weight, own = x], needs }) => {
      const coefficients = savedRows(rows.width, counts, indices, gradient);
      return [
        needs[0] === true ? outerProducts(coefficients, gradient, own, weight.shape) : null,
        needs[1] === true ? sparseDecode(coefficients, matrixOfRule, null) : null,
      ];
    },
  });
}

/**
 * For each entry `into[latent] += coefficient * x[row]`, in place on `into [width, columns]`: the gradient of
 * {@link sparseDecode} to its weight (coefficients = values, x = gradient to the result), or of the encoder to its rows
 * (coefficients = gradient to the pre-activations, x = the input). `coefficients [rows, capacity]`, `x [rows, columns]`.
 */
export function sparseOuterAdd(
  rows: SparseRows,
  coefficients: Tensor,
  x: Tensor,
  into: Tensor,
): void {
  const input = floats("sparseOuterAdd", x);
  const out = floats("sparseOuterAdd", into, "into");
  refuseInPlace("sparseOuterAdd", into);
  const columns = matrixColumns("sparseOuterAdd", "into", rows, into);
  requireRows("sparseOuterAdd", rows, x, columns);
  const factors = entries("sparseOuterAdd", "coefficients", rows, coefficients);
  if (coefficients.size === 0 || columns === 0) return;
  rows.device.backend.kernels.sparseOuterAdd(rows.slices(), factors, input, columns, out);
}

/** For each entry `into[latent] += coefficient`, in place on `into [width]`: the gradient to an encoder's bias. */
export function sparseScatterAdd(rows: SparseRows, coefficients: Tensor, into: Tensor): void {
  const out = floats("sparseScatterAdd", into, "into");
  refuseInPlace("sparseScatterAdd", into);
  sameDevice("sparseScatterAdd", rows.values, into);
  requireShape("sparseScatterAdd", "into", into.shape, [rows.width], describe(rows));
  const factors = entries("sparseScatterAdd", "coefficients", rows, coefficients);
  if (coefficients.size > 0)
    rows.device.backend.kernels.sparseScatterAdd(rows.slices(), factors, out);
}

/** For each entry with a value above 0 `into[latent] += 1`, in place on `into`, i32 [width]. */
export function sparseCountFiring(rows: SparseRows, into: Tensor): void {
  const out = integers("sparseCountFiring", into, "into");
  sameDevice("sparseCountFiring", rows.values, into);
  requireShape("sparseCountFiring", "into", into.shape, [rows.width], describe(rows));
  if (rows.values.size > 0) rows.device.backend.kernels.sparseCountFiring(rows.slices(), out);
}

/** Number of entries above 0 of each row, f32 [rows]. Without gradient: for JumpReLU's take `l0` of `encodeJumpRelu`. */
export function sparseRowL0(rows: SparseRows): Tensor {
  const out = rows.device.empty([rows.rows]);
  if (out.size === 0) return out;
  if (rows.capacity > 0) rows.device.backend.kernels.sparseRowL0(rows.slices(), out.slice);
  else rows.device.backend.kernels.fill(out.slice, 0);
  return out;
}

/** Sum of the values of each row, f32 [rows]: an L1 penalty, since values are not negative. Gradient: that of the row. */
export function sparseRowSum(rows: SparseRows): Tensor {
  return rows.device.scope(() =>
    sparseDecode(rows, rows.device.full([rows.width, 1], 1), null).reshape([rows.rows]),
  );
}

/** The rows as a dense f32 [rows, width] matrix. Gradient: that of the kept entries, {@link sparseGather}. */
export function sparseToDense(rows: SparseRows): Tensor {
  const out = rows.device.empty([rows.rows, rows.width]);
  if (out.size > 0) {
    if (rows.capacity > 0) rows.device.backend.kernels.sparseToDense(rows.slices(), out.slice);
    else rows.device.backend.kernels.fill(out.slice, 0);
  }
  return differentiable(out, {
    operator: "sparseToDense",
    inputs: [rows.values],
    saved: saved(rows),
    rule: (gradient, { saved: [counts, indices, values] }) => [
      sparseGather(savedRows(rows.width, counts, indices, values), gradient),
    ],
  });
}

/**
 * For each entry the element of `dense [rows, width]` at its place: result [rows, capacity], undefined beyond the rows' counts.
 * Gradient: the entries' gradients at their places, zeros elsewhere, {@link sparseToDense}.
 */
export function sparseGather(rows: SparseRows, dense: Tensor): Tensor {
  const input = floats("sparseGather", dense, "dense");
  sameDevice("sparseGather", rows.values, dense);
  requireShape("sparseGather", "dense", dense.shape, [rows.rows, rows.width], describe(rows));
  const out = entriesOf(rows.device, rows.rows, rows.capacity);
  if (out.size > 0) rows.device.backend.kernels.sparseGather(rows.slices(), input, out.slice);
  return differentiable(out, {
    operator: "sparseGather",
    inputs: [dense],
    saved: [rows.counts, rows.indices],
    rule: (gradient, { saved: [counts, indices] }) => [
      sparseToDense(savedRows(rows.width, counts, indices, gradient)),
    ],
  });
}

/**
 * The smallest value above 0 of all rows, a scalar; infinity where there is none. BatchTopK's threshold at inference is the running
 * mean of this over training batches.
 */
export function sparseSmallest(rows: SparseRows): Tensor {
  const out = rows.device.empty([]);
  const { kernels } = rows.device.backend;
  if (rows.values.size > 0) kernels.sparseSmallest(rows.slices(), out.slice);
  else kernels.fill(out.slice, Number.POSITIVE_INFINITY);
  return out;
}

/** Zeros of a weight's shape plus {@link sparseOuterAdd}. */
export function outerProducts(
  rows: SparseRows,
  coefficients: Tensor,
  x: Tensor,
  shape: Shape,
): Tensor {
  const out = rows.device.zeros(shape);
  sparseOuterAdd(rows, coefficients, x, out);
  return out;
}

function saved({ counts, indices, values }: SparseRows): readonly Tensor[] {
  return [counts, indices, values];
}

/** Rows over tensors that a tape keeps: not to be disposed. */
function savedRows(width: number, ...parts: readonly (Tensor | undefined)[]): SparseRows {
  return SparseRows.of(
    width,
    parts.filter((part) => part !== undefined),
  );
}

/**
 * A tensor [rows, capacity] for a kernel to fill, which writes each row's entries and nothing beyond. Where gradients are recorded or
 * taken, that is 0: ordinary operators may see it then, and so does the search for NaN.
 */
export function entriesOf(device: Device, rows: number, capacity: number): Tensor {
  const seen = device.tape !== null || device.observer !== null || device.differentiating;
  return seen ? device.zeros([rows, capacity]) : device.empty([rows, capacity]);
}

/** Checks a tensor [rows, capacity] that goes entry by entry with sparse rows. */
export function entries(operator: string, name: string, rows: SparseRows, x: Tensor): Slice {
  const values = floats(operator, x, name);
  sameDevice(operator, rows.values, x);
  requireShape(operator, name, x.shape, [rows.rows, rows.capacity], describe(rows));
  return values;
}

function describe(rows: SparseRows): string {
  return `for sparse rows of ${rows.rows} rows, width ${rows.width} and capacity ${rows.capacity}`;
}

function requireRows(operator: string, rows: SparseRows, x: Tensor, columns: number): void {
  sameDevice(operator, rows.values, x);
  requireShape(operator, "x", x.shape, [rows.rows, columns], describe(rows));
}

function matrixColumns(operator: string, name: string, rows: SparseRows, matrix: Tensor): number {
  sameDevice(operator, rows.values, matrix);
  const [width, columns] = matrix.shape;
  if (matrix.shape.length === 2 && width === rows.width && columns !== undefined) return columns;
  throw shapeError(
    operator,
    `${name} of shape ${formatShape(matrix.shape)}, expected [${rows.width}, columns] ${describe(rows)}`,
  );
}
