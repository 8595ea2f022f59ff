import { formatShape } from "@latentkit/core";
import type { Slice } from "../backend.ts";
import { floats, integers, requireShape, sameDevice, shapeError } from "../checks.ts";
import type { SparseRows } from "../sparse-rows.ts";
import type { Tensor } from "../tensor.ts";

/** `bias + rows @ weight`: weight [width, columns] (an SAE's decoder), bias [columns] or null, result [rows, columns]. */
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
  if (out.size === 0) return out;
  const { kernels } = rows.device.backend;
  if (rows.capacity > 0) kernels.sparseDecode(rows.slices(), matrix, biasSlice, columns, out.slice);
  else if (biasSlice === null) kernels.fill(out.slice, 0);
  else kernels.stridedRead(biasSlice, [rows.rows, columns], [0, 1], out.slice);
  return out;
}

/**
 * For each entry the product of its latent's row of `weight [width, columns]` with its row of `x [rows, columns]`: the gradient
 * of {@link sparseDecode} to the values when `x` is the gradient to its result. Result [rows, capacity].
 */
export function sparseDot(rows: SparseRows, weight: Tensor, x: Tensor): Tensor {
  const [matrix, input] = [floats("sparseDot", weight, "weight"), floats("sparseDot", x)];
  const columns = matrixColumns("sparseDot", "weight", rows, weight);
  requireRows("sparseDot", rows, x, columns);
  const out = rows.device.empty([rows.rows, rows.capacity]);
  if (out.size === 0) return out;
  if (columns > 0)
    rows.device.backend.kernels.sparseDot(rows.slices(), matrix, input, columns, out.slice);
  else rows.device.backend.kernels.fill(out.slice, 0);
  return out;
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
  const columns = matrixColumns("sparseOuterAdd", "into", rows, into);
  requireRows("sparseOuterAdd", rows, x, columns);
  const factors = entries("sparseOuterAdd", "coefficients", rows, coefficients);
  if (coefficients.size === 0 || columns === 0) return;
  rows.device.backend.kernels.sparseOuterAdd(rows.slices(), factors, input, columns, out);
}

/** For each entry `into[latent] += coefficient`, in place on `into [width]`: the gradient to an encoder's bias. */
export function sparseScatterAdd(rows: SparseRows, coefficients: Tensor, into: Tensor): void {
  const out = floats("sparseScatterAdd", into, "into");
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

/** Number of entries above 0 of each row, f32 [rows]. */
export function sparseRowL0(rows: SparseRows): Tensor {
  const out = rows.device.empty([rows.rows]);
  if (out.size === 0) return out;
  if (rows.capacity > 0) rows.device.backend.kernels.sparseRowL0(rows.slices(), out.slice);
  else rows.device.backend.kernels.fill(out.slice, 0);
  return out;
}

/** The rows as a dense f32 [rows, width] matrix. */
export function sparseToDense(rows: SparseRows): Tensor {
  const out = rows.device.empty([rows.rows, rows.width]);
  if (out.size === 0) return out;
  if (rows.capacity > 0) rows.device.backend.kernels.sparseToDense(rows.slices(), out.slice);
  else rows.device.backend.kernels.fill(out.slice, 0);
  return out;
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
