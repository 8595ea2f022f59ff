import { type Shape, ShapeError, formatShape } from "@latentkit/core";
import type { Device, Tensor } from "@latentkit/tensor";
import { addressOf, withWorkspace } from "./workspace.ts";

/** A dense matrix in f64 on the host, row-major. */
export interface Matrix {
  readonly rows: number;
  readonly columns: number;
  /** Element (i, j) at `i * columns + j`. */
  readonly data: Float64Array;
}

/** A matrix over data, or zeros. Throws `ShapeError` unless there are `rows * columns` numbers. */
export function matrix(rows: number, columns: number, data?: ArrayLike<number>): Matrix {
  if (data !== undefined && data.length !== rows * columns) {
    throw new ShapeError({
      code: "SHAPE_DATA",
      message: `a ${rows} x ${columns} matrix takes ${rows * columns} numbers, but the data has ${data.length}`,
      fix: "give as many numbers as the matrix has elements",
    });
  }
  return {
    rows,
    columns,
    data: data === undefined ? new Float64Array(rows * columns) : Float64Array.from(data),
  };
}

/** The identity, `size` x `size`. */
export function identity(size: number): Matrix {
  const result = matrix(size, size);
  for (let i = 0; i < size; i++) result.data[i * size + i] = 1;
  return result;
}

/** Reads a tensor of rank 2 into a matrix. Throws `ShapeError` for another rank. */
export async function fromTensor(tensor: Tensor): Promise<Matrix> {
  const [rows, columns] = rankTwo("fromTensor", tensor.shape);
  return matrix(rows, columns, await tensor.floats());
}

/** Copies a matrix to a device as f32. The caller disposes the tensor. */
export function toTensor(device: Device, { rows, columns, data }: Matrix): Tensor {
  return device.tensor(Float32Array.from(data), [rows, columns]);
}

/** The two sizes of a shape of rank 2. */
export function rankTwo(what: string, shape: Shape): [rows: number, columns: number] {
  const [rows, columns] = shape;
  if (rows !== undefined && columns !== undefined && shape.length === 2) return [rows, columns];
  throw new ShapeError({
    code: "SHAPE_MISMATCH",
    message: `${what} got a tensor of shape ${formatShape(shape)}, expected [rows, columns]`,
    fix: "reshape it to rank 2",
  });
}

/** The transpose, as a copy, in blocks that stay in the first cache. */
export function transpose({ rows, columns, data }: Matrix): Matrix {
  const out = new Float64Array(rows * columns);
  const block = 32;
  for (let i0 = 0; i0 < rows; i0 += block) {
    const iEnd = Math.min(rows, i0 + block);
    for (let j0 = 0; j0 < columns; j0 += block) {
      const jEnd = Math.min(columns, j0 + block);
      for (let i = i0; i < iEnd; i++)
        for (let j = j0; j < jEnd; j++) out[j * rows + i] = data[i * columns + j] ?? 0;
    }
  }
  return { rows: columns, columns: rows, data: out };
}

/** `a @ b` in f64. Throws `ShapeError` naming both shapes where the inner sizes differ. */
export function multiply(a: Matrix, b: Matrix): Matrix {
  if (a.columns !== b.rows) {
    throw new ShapeError({
      code: "SHAPE_MISMATCH",
      message: `multiply got shapes [${a.rows}, ${a.columns}] and [${b.rows}, ${b.columns}]`,
      fix: "make the first's columns as many as the second's rows",
    });
  }
  return multiplyTransposed(a, transpose(b));
}

/** `a @ b^T` in f64: dot products of rows, so that both are read in order. */
export function multiplyTransposed(a: Matrix, b: Matrix): Matrix {
  const [m, n, k] = [a.rows, b.rows, a.columns];
  if (b.columns !== k) {
    throw new ShapeError({
      code: "SHAPE_MISMATCH",
      message: `multiplyTransposed got shapes [${m}, ${k}] and [${n}, ${b.columns}]`,
      fix: "give two matrices with equally many columns",
    });
  }
  return withWorkspace((m * k + n * k + m * n) * 8 + 64, (space) => {
    const [left, right, out] = [space.floats(m * k), space.floats(n * k), space.floats(m * n)];
    left.set(a.data);
    right.set(b.data);
    space.kernels.multiplyTransposed(addressOf(left), addressOf(right), m, n, k, addressOf(out));
    return { rows: m, columns: n, data: out.slice() };
  });
}
