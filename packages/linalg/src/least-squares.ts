import { ConfigError, LatentkitError, ShapeError } from "@latentkit/core";
import { cholesky, choleskySolve, solveUpper } from "./cholesky.ts";
import { requireFinite } from "./checks.ts";
import { type Matrix, matrix, multiply, multiplyTransposed, transpose } from "./matrix.ts";
import { qr } from "./qr.ts";

/** Options of {@link leastSquares}. */
export interface LeastSquaresOptions {
  /** Weight of the solution's squared norm; 0 (the default) for none. */
  readonly ridge?: number | undefined;
}

/**
 * X [columns, targets] that minimises `|A X - B|^2 + ridge |X|^2`, A [rows, columns], B [rows, targets]. Without a ridge by QR,
 * so that the condition is not squared, for at least as many rows as columns of full rank; with one by Cholesky of
 * `A^T A + ridge I`, or of `A A^T + ridge I` where A is wide.
 *
 * Throws `LatentkitError` `LINALG_RANK_DEFICIENT` where columns depend on each other and there is no ridge; `ShapeError`, `ConfigError`.
 */
export function leastSquares(
  a: Matrix,
  b: Matrix,
  { ridge = 0 }: LeastSquaresOptions = {},
): Matrix {
  if (a.rows !== b.rows) {
    throw new ShapeError({
      code: "SHAPE_MISMATCH",
      message: `leastSquares got shapes [${a.rows}, ${a.columns}] and [${b.rows}, ${b.columns}]`,
      fix: "give equally many rows",
    });
  }
  if (!(ridge >= 0) || !Number.isFinite(ridge)) {
    throw new ConfigError({
      code: "VALUE_RANGE",
      message: `leastSquares got ridge = ${ridge}, expected a number of at least 0`,
      fix: "give a ridge of at least 0",
    });
  }
  requireFinite("leastSquares", a);
  requireFinite("leastSquares", b);
  return ridge === 0 ? byQr(a, b) : byRidge(a, b, ridge);
}

function byQr(a: Matrix, b: Matrix): Matrix {
  const { q, r } = qr(a);
  const n = a.columns;
  let most = 0;
  for (let i = 0; i < n; i++) most = Math.max(most, r.data[i * n + i] ?? 0);
  for (let i = 0; i < n; i++) {
    if ((r.data[i * n + i] ?? 0) > most * a.rows * Number.EPSILON) continue;
    throw new LatentkitError({
      code: "LINALG_RANK_DEFICIENT",
      message: `leastSquares got a matrix of shape [${a.rows}, ${n}] whose column ${i} depends on the columns before it`,
      fix: "drop dependent columns, or give a ridge",
    });
  }
  return solveUpper(r, multiply(transpose(q), b));
}

function byRidge(a: Matrix, b: Matrix, ridge: number): Matrix {
  const across = transpose(a);
  if (a.columns <= a.rows)
    return choleskySolve(
      cholesky(shifted(multiplyTransposed(across, across), ridge)),
      multiply(across, b),
    );
  return multiply(across, choleskySolve(cholesky(shifted(multiplyTransposed(a, a), ridge)), b));
}

function shifted(gram: Matrix, ridge: number): Matrix {
  const n = gram.rows;
  const out = matrix(n, n, gram.data);
  for (let i = 0; i < n; i++) out.data[i * n + i] = (out.data[i * n + i] ?? 0) + ridge;
  return out;
}
