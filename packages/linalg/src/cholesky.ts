import { LatentkitError, ShapeError } from "@latentkit/core";
import { requireFinite, requireSymmetric } from "./checks.ts";
import { type Matrix, matrix, transpose } from "./matrix.ts";
import { addScaled, dot } from "./vectors.ts";

/** Of the largest element: how far a matrix may be from symmetric. */
const symmetryTolerance = 1e-9;
/** Rows of a panel: 64 rows of 2304 numbers are 1.2 MB. */
const panel = 64;

/**
 * The lower triangular L with `A = L L^T`, for a symmetric positive definite A; by rows in panels, so that what a panel needs
 * stays in the second cache.
 *
 * Throws `LatentkitError` `LINALG_NOT_POSITIVE` naming the row at which A stops being positive definite, `LINALG_NOT_SYMMETRIC`,
 * `LINALG_NOT_FINITE`; `ShapeError` for a matrix that is not square.
 */
export function cholesky(a: Matrix): Matrix {
  requireFinite("cholesky", a);
  requireSymmetric("cholesky", a, symmetryTolerance);
  const n = a.rows;
  const l = new Float64Array(n * n);
  for (let j0 = 0; j0 < n; j0 += panel) {
    const jEnd = Math.min(n, j0 + panel);
    for (let i = j0; i < n; i++) {
      for (let j = j0; j < Math.min(jEnd, i + 1); j++) {
        const rest = (a.data[i * n + j] ?? 0) - dot(l, i * n, l, j * n, j);
        if (j < i) l[i * n + j] = rest / (l[j * n + j] ?? 1);
        else if (rest > 0) l[i * n + i] = Math.sqrt(rest);
        else throw notPositive(i, rest);
      }
    }
  }
  return { rows: n, columns: n, data: l };
}

function notPositive(row: number, pivot: number): LatentkitError {
  return new LatentkitError({
    code: "LINALG_NOT_POSITIVE",
    message: `cholesky got a matrix that is not positive definite: the pivot of row ${row} is ${pivot}`,
    fix: "add a multiple of the identity (a ridge), or use symmetricEigen",
  });
}

/** Solves `L L^T X = B` for B [n, columns], L from {@link cholesky}. */
export function choleskySolve(l: Matrix, b: Matrix): Matrix {
  return solveUpper(transpose(l), solveLower(l, b));
}

/** Solves `L X = B`, L lower triangular. Throws `LatentkitError` `LINALG_SINGULAR` at a zero on the diagonal. */
export function solveLower(l: Matrix, b: Matrix): Matrix {
  const x = matrix(b.rows, b.columns, rightSide("solveLower", l, b));
  for (let i = 0; i < l.rows; i++) {
    for (let j = 0; j < i; j++) eliminate(x, i, j, l.data[i * l.columns + j] ?? 0);
    divide("solveLower", x, i, l.data[i * l.columns + i] ?? 0);
  }
  return x;
}

/** Solves `R X = B`, R upper triangular. Throws `LatentkitError` `LINALG_SINGULAR` at a zero on the diagonal. */
export function solveUpper(r: Matrix, b: Matrix): Matrix {
  const x = matrix(b.rows, b.columns, rightSide("solveUpper", r, b));
  for (let i = r.rows - 1; i >= 0; i--) {
    for (let j = i + 1; j < r.columns; j++) eliminate(x, i, j, r.data[i * r.columns + j] ?? 0);
    divide("solveUpper", x, i, r.data[i * r.columns + i] ?? 0);
  }
  return x;
}

function eliminate({ columns, data }: Matrix, i: number, j: number, factor: number): void {
  if (factor !== 0) addScaled(data, i * columns, data, j * columns, -factor, columns);
}

function divide(what: string, { columns, data }: Matrix, i: number, pivot: number): void {
  if (pivot === 0) {
    throw new LatentkitError({
      code: "LINALG_SINGULAR",
      message: `${what} got a singular matrix: the diagonal of row ${i} is 0`,
      fix: "drop dependent columns, or add a ridge",
    });
  }
  for (let k = 0; k < columns; k++) data[i * columns + k] = (data[i * columns + k] ?? 0) / pivot;
}

function rightSide(what: string, a: Matrix, b: Matrix): Float64Array {
  if (a.rows === a.columns && a.rows === b.rows) return b.data;
  throw new ShapeError({
    code: "SHAPE_MISMATCH",
    message: `${what} got shapes [${a.rows}, ${a.columns}] and [${b.rows}, ${b.columns}]`,
    fix: "give a square matrix and a right side with as many rows",
  });
}
