import { ShapeError } from "@latentkit/core";
import { symmetricEigen } from "@latentkit/linalg";
import { type Device, matmul } from "@latentkit/tensor";
import { cosine, type Rows, rowOf } from "./vectors.ts";

/** Directions of largest variance. */
export interface PrincipalComponents {
  /** Mean activation, `[d]`. */
  readonly mean: Float64Array;
  /** Unit rows, the first component first, `[d][d]`. Signs are arbitrary. */
  readonly components: readonly Float64Array[];
  /** Variance along each, in squared activation units, largest first. */
  readonly variances: Float64Array;
  /** Share of the variance along each; sums to 1. */
  readonly explained: Float64Array;
  /** Rows seen. */
  readonly rows: number;
}

/**
 * Mean and covariance of streamed activations. Products are taken in f32 on the device over blocks, shifted by the first block's
 * mean so that a large common offset costs no digits, and summed in f64.
 *
 * Feed it unmasked rows only: with context position 0 among them, the first component is the attention sink.
 */
export class CovarianceAccumulator {
  readonly width: number;
  #rows = 0;
  #shift: Float64Array | null = null;
  readonly #sum: Float64Array;
  readonly #products: Float64Array;

  constructor(width: number) {
    this.width = width;
    this.#sum = new Float64Array(width);
    this.#products = new Float64Array(width * width);
  }

  /** Adds a block of rows; at most a few thousand at a time keep f32 sums accurate. */
  async add(device: Device, block: Rows): Promise<void> {
    if (block.width !== this.width) {
      throw new ShapeError({
        code: "COVARIANCE_WIDTH",
        message: `covariance of width ${this.width} got rows of ${block.width}`,
        fix: "feed activations of one site only",
      });
    }
    if (block.count === 0) return;
    this.#shift ??= meanOf(block);
    const shifted = new Float32Array(block.data.length);
    for (let index = 0; index < shifted.length; index++) {
      const column = index % this.width;
      const value = (block.data[index] ?? 0) - (this.#shift[column] ?? 0);
      shifted[index] = value;
      this.#sum[column] = (this.#sum[column] ?? 0) + value;
    }
    using x = device.tensor(shifted, [block.count, this.width]);
    using product = matmul(x, x, { transposeA: true });
    const values = await product.floats();
    for (let index = 0; index < values.length; index++)
      this.#products[index] = (this.#products[index] ?? 0) + (values[index] ?? 0);
    this.#rows += block.count;
  }

  /** Eigenvectors of the covariance; throws ShapeError `COVARIANCE_EMPTY` with fewer than two rows. */
  components(): PrincipalComponents {
    const [n, d] = [this.#rows, this.width];
    if (n < 2 || this.#shift === null) {
      throw new ShapeError({
        code: "COVARIANCE_EMPTY",
        message: `principal components of ${n} rows`,
        fix: "give at least two unmasked activations",
      });
    }
    const covariance = new Float64Array(d * d);
    for (let i = 0; i < d; i++) {
      for (let j = 0; j < d; j++) {
        covariance[i * d + j] =
          ((this.#products[i * d + j] ?? 0) - ((this.#sum[i] ?? 0) * (this.#sum[j] ?? 0)) / n) /
          (n - 1);
      }
    }
    const { values, vectors } = eigenpairs(covariance, d);
    const variances = values.map((value) => Math.max(0, value));
    const total = variances.reduce((sum, value) => sum + value, 0);
    const shift = this.#shift;
    return {
      mean: shift.map((value, column) => value + (this.#sum[column] ?? 0) / n),
      components: vectors,
      variances,
      explained: variances.map((value) => (total === 0 ? 0 : value / total)),
      rows: n,
    };
  }
}

/** Principal components of activations that fit into memory, by {@link CovarianceAccumulator}. */
export async function principalComponents(
  device: Device,
  activations: Rows,
  block = 4096,
): Promise<PrincipalComponents> {
  const accumulator = new CovarianceAccumulator(activations.width);
  for (let start = 0; start < activations.count; start += block) {
    const end = Math.min(activations.count, start + block);
    const data = activations.data.subarray(start * activations.width, end * activations.width);
    await accumulator.add(device, { data, count: end - start, width: activations.width });
  }
  return accumulator.components();
}

/**
 * Signed cosine of each decoder row with one component. The paper's PCA latents have |cosine| > 0.75 with the first, in an
 * antipodal pair of opposite signs; the component's own sign means nothing.
 */
export function componentCosines(decoder: Rows, component: Float64Array): Float64Array {
  return Float64Array.from({ length: decoder.count }, (_, row) =>
    cosine(rowOf(decoder, row), component),
  );
}

/** Eigenpairs of a row-major matrix that is symmetric up to rounding in f32; largest value first, unit vectors. */
export function eigenpairs(
  matrix: Float64Array,
  size: number,
): { values: Float64Array; vectors: Float64Array[] } {
  const symmetric = matrix.map(
    (value, at) => (value + (matrix[(at % size) * size + Math.floor(at / size)] ?? 0)) / 2,
  );
  const { values, vectors } = symmetricEigen({ rows: size, columns: size, data: symmetric });
  return {
    values,
    vectors: Array.from({ length: size }, (_, row) =>
      vectors.data.slice(row * size, (row + 1) * size),
    ),
  };
}

function meanOf(block: Rows): Float64Array {
  const mean = new Float64Array(block.width);
  for (let index = 0; index < block.data.length; index++)
    mean[index % block.width] = (mean[index % block.width] ?? 0) + (block.data[index] ?? 0);
  return mean.map((value) => value / block.count);
}
