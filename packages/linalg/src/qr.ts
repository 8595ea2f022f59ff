import { ShapeError } from "@latentkit/core";
import { requireFinite } from "./checks.ts";
import { type Matrix, transpose } from "./matrix.ts";
import { dot } from "./vectors.ts";
import type { VectorKernels } from "./wasm/kernels.ts";
import { addressOf, withWorkspace } from "./workspace.ts";

/** A thin QR decomposition. */
export interface Qr {
  /** [rows, columns], orthonormal columns. */
  readonly q: Matrix;
  /** [columns, columns], upper triangular, its diagonal not negative. */
  readonly r: Matrix;
}

/**
 * Thin QR by Householder reflections (Golub and Van Loan, 5.2), `A = Q R`, for at least as many rows as columns. Backward stable
 * whatever the condition; columns that depend on earlier ones get a (near) zero on R's diagonal and some orthonormal direction.
 *
 * Throws `ShapeError` for a wide matrix and `LatentkitError` `LINALG_NOT_FINITE`.
 */
export function qr(a: Matrix): Qr {
  const { rows: m, columns: n } = a;
  if (m < n) {
    throw new ShapeError({
      code: "SHAPE_MISMATCH",
      message: `qr got a matrix of shape [${m}, ${n}], expected at least as many rows as columns`,
      fix: "decompose the transpose",
    });
  }
  requireFinite("qr", a);
  return withWorkspace(2 * m * n * 8 + 64, (space) => {
    // Columns as rows: every loop below runs over contiguous memory.
    const columns = space.floats(n * m);
    columns.set(transpose(a).data);
    const q = space.floats(n * m);
    return decompose(columns, q, m, n, space.kernels);
  });
}

function decompose(
  columns: Float64Array,
  q: Float64Array,
  m: number,
  n: number,
  { reflectRows }: VectorKernels,
): Qr {
  const factors = new Float64Array(n);
  const diagonal = new Float64Array(n);
  /** Reflector k on rows `from ..` of `target`, which are columns of a matrix. */
  const reflect = (k: number, target: Float64Array, from: number): void => {
    const v = addressOf(columns, k * m + k);
    const at = addressOf(target, from * m + k);
    if (factors[k] !== 0 && from < n) reflectRows(v, factors[k] ?? 0, at, m, n - from, m - k);
  };
  for (let k = 0; k < n; k++) {
    diagonal[k] = makeReflector(columns, k, m, factors);
    reflect(k, columns, k + 1);
  }
  const r = new Float64Array(n * n);
  for (let j = 0; j < n; j++) {
    for (let i = 0; i < j; i++) r[i * n + j] = columns[j * m + i] ?? 0;
    r[j * n + j] = diagonal[j] ?? 0;
  }
  // Q's columns: the reflections, last first, applied to those of the identity.
  for (let j = 0; j < n; j++) q[j * m + j] = 1;
  for (let k = n - 1; k >= 0; k--) reflect(k, q, k);
  for (let i = 0; i < n; i++) {
    if ((r[i * n + i] ?? 0) >= 0) continue;
    for (let j = i; j < n; j++) r[i * n + j] = -(r[i * n + j] ?? 0);
    for (let p = 0; p < m; p++) q[i * m + p] = -(q[i * m + p] ?? 0);
  }
  return {
    q: transpose({ rows: n, columns: m, data: q }),
    r: { rows: n, columns: n, data: r },
  };
}

/** Makes column k's reflector in place (v from k on, v_k = 1 implied by scaling into the factor); gives R's diagonal element. */
function makeReflector(columns: Float64Array, k: number, m: number, factors: Float64Array): number {
  const at = k * m + k;
  const length = m - k;
  // Scaled, so that squares neither overflow nor vanish.
  let most = 0;
  for (let i = 0; i < length; i++) most = Math.max(most, Math.abs(columns[at + i] ?? 0));
  if (most === 0) return 0;
  for (let i = 0; i < length; i++) columns[at + i] = (columns[at + i] ?? 0) / most;
  const norm = Math.sqrt(dot(columns, at, columns, at, length));
  const head = columns[at] ?? 0;
  // The sign that adds instead of cancelling.
  const pivot = head >= 0 ? -norm : norm;
  columns[at] = head - pivot;
  factors[k] = 1 / (norm * (norm + Math.abs(head)));
  return pivot * most;
}

/** An orthonormal basis of the columns' span: `qr(a).q`. Give columns that are independent. */
export function orthonormalize(a: Matrix): Matrix {
  return qr(a).q;
}
