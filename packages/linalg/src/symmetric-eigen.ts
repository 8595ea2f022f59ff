import { LatentkitError } from "@latentkit/core";
import { requireFinite, requireSymmetric } from "./checks.ts";
import { type Matrix, matrix } from "./matrix.ts";
import { dot, largest, scale } from "./vectors.ts";
import { addressOf, type Workspace, withWorkspace } from "./workspace.ts";

/** Eigenvalues and eigenvectors of a symmetric matrix. */
export interface SymmetricEigen {
  /** Largest first. */
  readonly values: Float64Array;
  /** Row i is the unit eigenvector of value i; its element of largest magnitude is positive. */
  readonly vectors: Matrix;
}

/** Of the largest element: how far a matrix may be from symmetric. */
const symmetryTolerance = 1e-6;
/** Steps of the implicit QL iteration for one eigenvalue; 3 is usual. */
const mostSteps = 60;
/** Columns of the eigenvectors that a batch of rotations works on at a time: 576 rows of them fit the second cache. */
const columnBlock = 128;
/** Rotations that are gathered before they are applied. */
const batch = 8192;

/**
 * Eigen-decomposition `A = V^T diag(values) V` of a symmetric matrix: Householder tridiagonalisation, then QL with implicit shifts
 * (Golub and Van Loan, 8.3). Everything runs along rows; rotations are gathered and applied to blocks of columns that stay in
 * the cache. Errors are a few units of rounding of the largest eigenvalue.
 *
 * Only the lower triangle is read; a matrix further from symmetric than rounding in f32 is refused. Throws `LatentkitError`
 * `LINALG_NOT_SYMMETRIC`, `LINALG_NOT_FINITE`, `LINALG_NO_CONVERGENCE`.
 */
export function symmetricEigen(a: Matrix): SymmetricEigen {
  requireFinite("symmetricEigen", a);
  requireSymmetric("symmetricEigen", a, symmetryTolerance);
  const n = a.rows;
  const bytes = (3 * n * n + n) * 8 + batch * 20 + 128;
  return withWorkspace(bytes, (space) => {
    const { diagonal, beside, reflectors, factors } = tridiagonalise(a, space);
    const vectors = space.floats(n * n);
    for (let i = 0; i < n; i++) vectors[i * n + i] = 1;
    implicitQl(diagonal, beside, vectors, space);
    // From eigenvectors of the tridiagonal matrix to those of A: the reflections, last first, on all rows.
    for (let k = n - 3; k >= 0; k--) {
      const v = addressOf(reflectors, k * n + k + 1);
      const at = addressOf(vectors, k + 1);
      space.kernels.reflectRows(v, factors[k] ?? 0, at, n, n, n - k - 1);
    }
    return sorted(diagonal, vectors);
  });
}

interface Tridiagonal {
  readonly diagonal: Float64Array;
  /** Element i is beside diagonal elements i and i + 1; the last is 0. */
  readonly beside: Float64Array;
  /** Row k holds reflector k from column k + 1 on. */
  readonly reflectors: Float64Array;
  readonly factors: Float64Array;
}

/** `Q^T A Q` tridiagonal; reflector k takes column k to its first two elements. Works on the lower triangle alone. */
function tridiagonalise(a: Matrix, space: Workspace): Tridiagonal {
  const n = a.rows;
  const work = space.floats(n * n);
  work.set(a.data);
  const reflectors = space.floats(n * n);
  const p = space.floats(n);
  const factors = new Float64Array(n);
  const diagonal = new Float64Array(n);
  const beside = new Float64Array(n);
  for (let k = 0; k + 2 < n; k++) {
    const length = n - k - 1;
    const at = k * n + k + 1;
    for (let i = k + 1; i < n; i++) reflectors[k * n + i] = work[i * n + k] ?? 0;
    const tail = largest(reflectors, at, length);
    const most = Math.abs(reflectors[at + tail] ?? 0);
    if (most === 0) continue;
    scale(reflectors, at, 1 / most, length);
    const norm = Math.sqrt(dot(reflectors, at, reflectors, at, length));
    const head = reflectors[at] ?? 0;
    const pivot = head >= 0 ? -norm : norm;
    reflectors[at] = head - pivot;
    const factor = 1 / (norm * (norm + Math.abs(head)));
    factors[k] = factor;
    beside[k] = pivot * most;
    space.kernels.tridiagonalStep(
      addressOf(work),
      n,
      k,
      addressOf(reflectors, at),
      addressOf(p),
      factor,
    );
  }
  for (let i = 0; i < n; i++) diagonal[i] = work[i * n + i] ?? 0;
  if (n > 1) beside[n - 2] = work[(n - 1) * n + n - 2] ?? 0;
  return { diagonal, beside, reflectors, factors };
}

/** Rotations of neighbouring rows of the eigenvectors, waiting to be applied. */
class Rotations {
  readonly #rows: Int32Array;
  readonly #cosines: Float64Array;
  readonly #sines: Float64Array;
  readonly #vectors: Float64Array;
  readonly #size: number;
  readonly #space: Workspace;
  #count = 0;

  constructor(vectors: Float64Array, size: number, space: Workspace) {
    this.#cosines = space.floats(batch);
    this.#sines = space.floats(batch);
    this.#rows = space.integers(batch);
    this.#vectors = vectors;
    this.#size = size;
    this.#space = space;
  }

  /** Of rows `row` and `row + 1`. */
  add(row: number, cosine: number, sine: number): void {
    if (this.#count === batch) this.apply();
    this.#rows[this.#count] = row;
    this.#cosines[this.#count] = cosine;
    this.#sines[this.#count] = sine;
    this.#count++;
  }

  /** Applies what waits, in order, block of columns by block of columns. */
  apply(): void {
    const n = this.#size;
    for (let start = 0; start < n; start += columnBlock) {
      this.#space.kernels.rotateRows(
        addressOf(this.#vectors, start),
        n,
        addressOf(this.#rows),
        addressOf(this.#cosines),
        addressOf(this.#sines),
        this.#count,
        Math.min(columnBlock, n - start),
      );
    }
    this.#count = 0;
  }
}

/** Diagonalises in place: `diagonal` becomes the eigenvalues, the rows of `vectors` their eigenvectors. */
function implicitQl(
  diagonal: Float64Array,
  beside: Float64Array,
  vectors: Float64Array,
  space: Workspace,
): void {
  const n = diagonal.length;
  const rotations = new Rotations(vectors, n, space);
  for (let l = 0; l < n; l++) {
    for (let steps = 0; ; steps++) {
      const m = firstSmall(diagonal, beside, l);
      if (m === l) break;
      if (steps === mostSteps) throw noConvergence(l);
      qlStep(diagonal, beside, l, m, rotations);
    }
  }
  rotations.apply();
}

/** First place from l on where the matrix falls apart: its element beside the diagonal is rounding. */
function firstSmall(diagonal: Float64Array, beside: Float64Array, l: number): number {
  let m = l;
  for (; m < diagonal.length - 1; m++) {
    const size = Math.abs(diagonal[m] ?? 0) + Math.abs(diagonal[m + 1] ?? 0);
    if (size + Math.abs(beside[m] ?? 0) === size) break;
  }
  return m;
}

/** One step with Wilkinson's shift on rows l .. m. */
function qlStep(
  diagonal: Float64Array,
  beside: Float64Array,
  l: number,
  m: number,
  rotations: Rotations,
): void {
  const own = diagonal[l] ?? 0;
  const next = beside[l] ?? 0;
  let g = ((diagonal[l + 1] ?? 0) - own) / (2 * next);
  g = (diagonal[m] ?? 0) - own + next / (g + (g >= 0 ? 1 : -1) * Math.hypot(g, 1));
  let [s, c, p] = [1, 1, 0];
  for (let i = m - 1; i >= l; i--) {
    const e = beside[i] ?? 0;
    const [f, b] = [s * e, c * e];
    const r = Math.hypot(f, g);
    beside[i + 1] = r;
    if (r === 0) {
      diagonal[i + 1] = (diagonal[i + 1] ?? 0) - p;
      beside[m] = 0;
      return;
    }
    [s, c] = [f / r, g / r];
    g = (diagonal[i + 1] ?? 0) - p;
    const t = ((diagonal[i] ?? 0) - g) * s + 2 * c * b;
    p = s * t;
    diagonal[i + 1] = g + p;
    g = c * t - b;
    rotations.add(i, c, s);
  }
  diagonal[l] = (diagonal[l] ?? 0) - p;
  beside[l] = g;
  beside[m] = 0;
}

function sorted(values: Float64Array, data: Float64Array): SymmetricEigen {
  const n = values.length;
  const order = Array.from(values.keys()).sort(
    (i, j) => (values[j] ?? 0) - (values[i] ?? 0) || i - j,
  );
  const vectors = matrix(n, n);
  for (const [to, from] of order.entries()) {
    vectors.data.set(data.subarray(from * n, (from + 1) * n), to * n);
    const peak = to * n + largest(vectors.data, to * n, n);
    if ((vectors.data[peak] ?? 0) < 0) scale(vectors.data, to * n, -1, n);
  }
  return { values: Float64Array.from(order, (index) => values[index] ?? 0), vectors };
}

function noConvergence(row: number): LatentkitError {
  return new LatentkitError({
    code: "LINALG_NO_CONVERGENCE",
    message: `eigenvalue ${row} did not converge in ${mostSteps} steps`,
    fix: "look for values of wildly different size in the matrix; scale it",
  });
}
