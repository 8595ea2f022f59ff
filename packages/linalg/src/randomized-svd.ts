import { ConfigError, Random, throwIfAborted } from "@latentkit/core";
import { matmul, type Tensor } from "@latentkit/tensor";
import {
  fromTensor,
  type Matrix,
  matrix,
  multiply,
  rankTwo,
  toTensor,
  transpose,
} from "./matrix.ts";
import { orthonormalize } from "./qr.ts";
import { type Svd, svd } from "./svd.ts";

/** Options of {@link randomizedSvd}. */
export interface RandomizedSvdOptions {
  /** Singular values and vectors wanted. */
  readonly rank: number;
  /** Directions beyond the rank that are tried; 10 by default. */
  readonly oversampling?: number | undefined;
  /** Times that the directions go through `A A^T`; 4 by default. More for spectra that fall slowly. */
  readonly iterations?: number | undefined;
  readonly seed: number;
  readonly signal?: AbortSignal | undefined;
}

/**
 * The largest singular values and vectors of a matrix on a device, by the range of random combinations of its columns (Halko,
 * Martinsson and Tropp, 2011, algorithms 4.4 and 5.1). Products with the matrix run on the device in f32; the directions are
 * orthonormalised in f64 after each, so that small ones are not lost. Errors of the values are those of f32 products and of
 * the spectrum's tail.
 *
 * @param a f32 [rows, columns]
 */
export async function randomizedSvd(a: Tensor, options: RandomizedSvdOptions): Promise<Svd> {
  const { rank, oversampling = 10, iterations = 4, seed, signal } = options;
  const [rows, columns] = rankTwo("randomizedSvd", a.shape);
  const least = Math.min(rows, columns);
  requireInteger("rank", rank, 1, least);
  requireInteger("oversampling", oversampling, 0, Number.MAX_SAFE_INTEGER);
  requireInteger("iterations", iterations, 0, Number.MAX_SAFE_INTEGER);
  const directions = Math.min(least, rank + oversampling);
  const { device } = a;

  /** `op(A) @ x` on the device. */
  const apply = async (x: Matrix, transposeA: boolean): Promise<Matrix> => {
    throwIfAborted(signal);
    using right = toTensor(device, x);
    using product = matmul(a, right, { transposeA });
    return fromTensor(product);
  };

  const start = matrix(columns, directions);
  new Random(seed).fillNormal(new Float32Array(start.data.length)).forEach((value, index) => {
    start.data[index] = value;
  });
  let basis = orthonormalize(await apply(start, false));
  for (let iteration = 0; iteration < iterations; iteration++) {
    const across = orthonormalize(await apply(basis, true));
    basis = orthonormalize(await apply(across, false));
  }
  // A is nearly basis (basis^T A): the small factor's SVD, turned back.
  const small = svd(transpose(await apply(basis, true)));
  const left = multiply(small.left, transpose(basis));
  return {
    values: small.values.slice(0, rank),
    left: matrix(rank, rows, left.data.subarray(0, rank * rows)),
    right: matrix(rank, columns, small.right.data.subarray(0, rank * columns)),
  };
}

function requireInteger(name: string, value: number, low: number, high: number): void {
  if (Number.isInteger(value) && value >= low && value <= high) return;
  throw new ConfigError({
    code: "VALUE_RANGE",
    message: `randomizedSvd got ${name} = ${value}, expected an integer from ${low} to ${high}`,
    fix: `give a ${name} in that range`,
  });
}
