import { LatentkitError } from "@latentkit/core";
import { requireFinite } from "./checks.ts";
import { type Matrix, matrix, multiply, transpose } from "./matrix.ts";
import { qr } from "./qr.ts";
import { addScaled, dot, largest, scale } from "./vectors.ts";
import { addressOf, withWorkspace } from "./workspace.ts";

/** A thin singular value decomposition, `A = U^T diag(values) V` with the singular vectors as rows. */
export interface Svd {
  /** Largest first, min(rows, columns) of them. */
  readonly values: Float64Array;
  /** Row i: left singular vector i, of length `rows`. */
  readonly left: Matrix;
  /** Row i: right singular vector i, of length `columns`; its element of largest magnitude is positive. */
  readonly right: Matrix;
}

const mostSweeps = 60;
/** Cosine of two vectors that count as orthogonal. */
const orthogonal = 1e-15;

/**
 * Thin SVD. Two QR decompositions leave a triangle that is nearly diagonal, which one-sided Jacobi rotations finish (Drmač and
 * Veselić, 2008): small singular values come out to high relative accuracy, which methods through `A^T A` lose.
 *
 * Vectors of singular values that are 0 complete an orthonormal set. Throws `LatentkitError` `LINALG_NOT_FINITE` and
 * `LINALG_NO_CONVERGENCE`.
 */
export function svd(a: Matrix): Svd {
  requireFinite("svd", a);
  if (a.rows < a.columns) {
    const { values, left, right } = svd(transpose(a));
    return alignSigns({ values, left: right, right: left });
  }
  if (a.columns === 0)
    return { values: new Float64Array(), left: matrix(0, a.rows), right: matrix(0, 0) };
  // A P = Q1 R1, R1^T = Q2 R2: A P = Q1 R2^T Q2^T. Columns in order of size make R2 nearly diagonal.
  const order = bySize(a);
  const first = qr(pickColumns(a, order));
  const second = qr(transpose(first.r));
  // Rows of R2^T's transpose are rotated until they are orthogonal: W R2 = diag(values) Y.
  const { values, rotated, turns } = jacobi(second.r);
  // R2 = turns^T diag(values) Y, so A P = Q1 Y^T diag(values) (turns Q2^T).
  const left = multiply(rotated, transpose(first.q));
  const turned = multiply(turns, transpose(second.q));
  const right = matrix(a.columns, a.columns);
  for (let row = 0; row < a.columns; row++)
    for (const [place, column] of order.entries())
      right.data[row * a.columns + column] = turned.data[row * a.columns + place] ?? 0;
  return alignSigns({ values, left, right });
}

/** Columns from the longest to the shortest. */
function bySize({ rows, columns, data }: Matrix): number[] {
  const squares = new Float64Array(columns);
  for (let i = 0; i < rows; i++)
    for (let j = 0; j < columns; j++)
      squares[j] = (squares[j] ?? 0) + (data[i * columns + j] ?? 0) ** 2;
  return Array.from(squares.keys()).sort((i, j) => (squares[j] ?? 0) - (squares[i] ?? 0) || i - j);
}

function pickColumns({ rows, columns, data }: Matrix, order: readonly number[]): Matrix {
  const out = matrix(rows, columns);
  for (let i = 0; i < rows; i++)
    for (const [place, column] of order.entries())
      out.data[i * columns + place] = data[i * columns + column] ?? 0;
  return out;
}

/** Rotates pairs of rows until all are orthogonal; their lengths are the singular values. */
function jacobi(triangle: Matrix): { values: Float64Array; rotated: Matrix; turns: Matrix } {
  const n = triangle.rows;
  return withWorkspace((2 * n * n + n) * 8 + 64, (space) => {
    const [rows, turns, squares] = [space.floats(n * n), space.floats(n * n), space.floats(n)];
    rows.set(triangle.data);
    for (let i = 0; i < n; i++) turns[i * n + i] = 1;
    const [at, turnsAt, squaresAt] = [addressOf(rows), addressOf(turns), addressOf(squares)];
    for (
      let sweep = 0;
      space.kernels.jacobiSweep(at, turnsAt, squaresAt, n, orthogonal) > 0;
      sweep++
    )
      if (sweep === mostSweeps) throw noConvergence(n);
    return sortedRows(rows, turns, n);
  });
}

function sortedRows(
  rows: Float64Array,
  turns: Float64Array,
  n: number,
): { values: Float64Array; rotated: Matrix; turns: Matrix } {
  const lengths = Float64Array.from({ length: n }, (_, i) =>
    Math.sqrt(dot(rows, i * n, rows, i * n, n)),
  );
  const order = Array.from(lengths.keys()).sort(
    (i, j) => (lengths[j] ?? 0) - (lengths[i] ?? 0) || i - j,
  );
  const values = Float64Array.from(order, (index) => lengths[index] ?? 0);
  const [rotated, turned] = [matrix(n, n), matrix(n, n)];
  for (const [to, from] of order.entries()) {
    rotated.data.set(rows.subarray(from * n, (from + 1) * n), to * n);
    turned.data.set(turns.subarray(from * n, (from + 1) * n), to * n);
  }
  normalise(rotated, values);
  return { values, rotated, turns: turned };
}

/** Unit rows; those of length (nearly) 0 become any that complete an orthonormal set. */
function normalise({ rows: n, data }: Matrix, values: Float64Array): void {
  const negligible = (values[0] ?? 0) * Number.EPSILON * 1e-3 * n;
  for (let i = 0; i < n; i++) {
    const length = values[i] ?? 0;
    if (length > negligible && length > 0) {
      scale(data, i * n, 1 / length, n);
      continue;
    }
    values[i] = length > 0 ? length : 0;
    complete(data, i, n);
  }
}

/** Row i becomes a unit vector orthogonal to rows 0 .. i - 1: the axis that they cover least, orthogonalised twice. */
function complete(data: Float64Array, i: number, n: number): void {
  let [best, least] = [0, Number.POSITIVE_INFINITY];
  for (let axis = 0; axis < n; axis++) {
    let covered = 0;
    for (let row = 0; row < i; row++) covered += (data[row * n + axis] ?? 0) ** 2;
    if (covered < least) [best, least] = [axis, covered];
  }
  data.fill(0, i * n, (i + 1) * n);
  data[i * n + best] = 1;
  for (let pass = 0; pass < 2; pass++)
    for (let row = 0; row < i; row++)
      addScaled(data, i * n, data, row * n, -dot(data, i * n, data, row * n, n), n);
  scale(data, i * n, 1 / Math.sqrt(dot(data, i * n, data, i * n, n)), n);
}

/** Right vectors with a positive peak; left ones turn with them. */
function alignSigns({ values, left, right }: Svd): Svd {
  for (let i = 0; i < values.length; i++) {
    const at = i * right.columns;
    if ((right.data[at + largest(right.data, at, right.columns)] ?? 0) >= 0) continue;
    scale(right.data, at, -1, right.columns);
    scale(left.data, i * left.columns, -1, left.columns);
  }
  return { values, left, right };
}

function noConvergence(size: number): LatentkitError {
  return new LatentkitError({
    code: "LINALG_NO_CONVERGENCE",
    message: `the singular values of a ${size} x ${size} matrix did not converge in ${mostSweeps} sweeps`,
    fix: "look for values of wildly different size in the matrix; scale it",
  });
}
