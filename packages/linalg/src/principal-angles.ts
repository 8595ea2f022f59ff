import { ShapeError } from "@latentkit/core";
import { type Matrix, matrix, multiply, transpose } from "./matrix.ts";
import { orthonormalize } from "./qr.ts";
import { svd } from "./svd.ts";

/**
 * Principal angles between the spans of the columns of `a` [d, p] and `b` [d, q], in radians from 0 to pi/2, smallest first,
 * min(p, q) of them (Björck and Golub, 1973). Small angles come from their sines, which keeps them exact where the cosine
 * rounds to 1. The columns of each must be independent.
 *
 * Throws `ShapeError` where the two do not have equally many rows, or more columns than rows.
 */
export function principalAngles(a: Matrix, b: Matrix): Float64Array {
  if (a.rows !== b.rows) {
    throw new ShapeError({
      code: "SHAPE_MISMATCH",
      message: `principalAngles got shapes [${a.rows}, ${a.columns}] and [${b.rows}, ${b.columns}]`,
      fix: "give directions as columns of equal length",
    });
  }
  if (a.columns < b.columns) return principalAngles(b, a);
  const count = b.columns;
  const [qa, qb] = [orthonormalize(a), orthonormalize(b)];
  const overlap = multiply(transpose(qa), qb);
  const cosines = svd(overlap).values;
  // What of b lies outside of a: its singular values are the sines, largest first.
  const inside = multiply(qa, overlap);
  const outside = matrix(
    qb.rows,
    count,
    qb.data.map((value, index) => value - (inside.data[index] ?? 0)),
  );
  const sines = svd(outside).values.toReversed();
  return Float64Array.from({ length: count }, (_, i) => {
    const [cosine, sine] = [Math.min(1, cosines[i] ?? 0), Math.min(1, sines[i] ?? 0)];
    return cosine * cosine > 0.5 ? Math.asin(sine) : Math.acos(cosine);
  });
}
