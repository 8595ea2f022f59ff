import { LatentkitError, ShapeError } from "@latentkit/core";
import type { Matrix } from "./matrix.ts";

/** Throws `LatentkitError` `LINALG_NOT_FINITE` at the first NaN or infinity. */
export function requireFinite(what: string, { columns, data }: Matrix): void {
  const at = data.findIndex((value) => !Number.isFinite(value));
  if (at < 0) return;
  throw new LatentkitError({
    code: "LINALG_NOT_FINITE",
    message: `${what} got ${data[at]} at row ${Math.floor(at / columns)}, column ${at % columns}`,
    fix: "find out where it came from; no decomposition of such a matrix exists",
  });
}

/** Throws `ShapeError` unless the matrix is square. */
export function requireSquare(what: string, { rows, columns }: Matrix): void {
  if (rows === columns) return;
  throw new ShapeError({
    code: "SHAPE_MISMATCH",
    message: `${what} got a matrix of shape [${rows}, ${columns}], expected a square one`,
    fix: "give as many rows as columns",
  });
}

/** Throws `LatentkitError` `LINALG_NOT_SYMMETRIC` where two elements differ by more than `tolerance` of the largest. */
export function requireSymmetric(what: string, a: Matrix, tolerance: number): void {
  requireSquare(what, a);
  const { rows, data } = a;
  let most = 0;
  for (const value of data) most = Math.max(most, Math.abs(value));
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < i; j++) {
      const [below, above] = [data[i * rows + j] ?? 0, data[j * rows + i] ?? 0];
      if (Math.abs(below - above) <= tolerance * most) continue;
      throw new LatentkitError({
        code: "LINALG_NOT_SYMMETRIC",
        message: `${what} got ${below} at row ${i}, column ${j} and ${above} at row ${j}, column ${i}`,
        fix: "symmetrise it, (A + A^T) / 2, if the difference is rounding; else use svd",
      });
    }
  }
}
