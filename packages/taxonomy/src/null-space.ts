import {
  ConfigError,
  type LongCallOptions,
  ShapeError,
  throwIfAborted,
  yieldToEventLoop,
} from "@latentkit/core";
import { type Device, matmul } from "@latentkit/tensor";
import { betaQuantile } from "./beta.ts";
import { eigenpairs } from "./principal-components.ts";
import { dot, type Rows, rowOf } from "./vectors.ts";

/** Singular values of the effective unembedding and its left singular vectors. */
export interface UnembeddingSpectrum {
  /** Largest first, length d, exact zeros included when the vocabulary is smaller than d. */
  readonly singularValues: Float64Array;
  /** Unit vectors in residual space, in the same order, `[d][d]`. */
  readonly directions: readonly Float64Array[];
}

/**
 * SVD of W_eff = diag(gain) W_U, by the eigenvectors of the d x d Gram matrix: V is tens of thousands, d hundreds. Products in f32
 * on the device over blocks of the vocabulary, sums in f64; singular values below about 1e-3.5 of the largest are noise.
 *
 * @param unembedding `[vocabulary, d]`, raw
 * @param gain weight of the final norm, `[d]`; leaving it out measures a matrix that the model never applies
 * @throws ShapeError `UNEMBEDDING_GAIN` when the gain is not as wide as the unembedding
 */
export async function unembeddingSpectrum(
  device: Device,
  unembedding: Rows,
  gain: Float32Array,
  options: LongCallOptions = {},
): Promise<UnembeddingSpectrum> {
  const d = unembedding.width;
  checkGain(unembedding, gain);
  const gram = new Float64Array(d * d);
  const block = 4096;
  for (let start = 0; start < unembedding.count; start += block) {
    throwIfAborted(options.signal);
    const end = Math.min(unembedding.count, start + block);
    const scaled = scaleColumns(unembedding.data.subarray(start * d, end * d), gain);
    using x = device.tensor(scaled, [end - start, d]);
    using product = matmul(x, x, { transposeA: true });
    const values = await product.floats();
    for (let index = 0; index < values.length; index++)
      gram[index] = (gram[index] ?? 0) + (values[index] ?? 0);
    options.onProgress?.({
      stage: "unembedding spectrum",
      done: end,
      total: unembedding.count,
      unit: "tokens",
    });
    await yieldToEventLoop();
  }
  const { values, vectors } = eigenpairs(gram, d);
  return {
    singularValues: values.map((value) => Math.sqrt(Math.max(0, value))),
    directions: vectors,
  };
}

/** A column-wise product with the norm's gain, which makes rows of W_U into rows of W_eff. */
export function scaleColumns(data: Float32Array, gain: Float32Array): Float32Array {
  const d = gain.length;
  const scaled = new Float32Array(data.length);
  for (let index = 0; index < scaled.length; index++)
    scaled[index] = (data[index] ?? 0) * (gain[index % d] ?? 0);
  return scaled;
}

/**
 * alpha_k of each row: the length of the unit row's part inside the span of the k weakest directions. Its null is sqrt(k / d), so
 * one cut-off does not serve two widths; see {@link nullSpaceCut}.
 */
export function nullSpaceShares(
  decoder: Rows,
  spectrum: UnembeddingSpectrum,
  k = 10,
): Float64Array {
  checkCount(k, decoder.width);
  const weakest = spectrum.directions.slice(-k);
  return Float64Array.from({ length: decoder.count }, (_, row) => {
    const vector = rowOf(decoder, row);
    const length = dot(vector, vector);
    if (length === 0) return 0;
    let inside = 0;
    for (const direction of weakest) inside += dot(vector, direction) ** 2;
    return Math.sqrt(Math.min(1, inside / length));
  });
}

/**
 * The alpha_k that a random direction exceeds with chance 1 - quantile. In closed form: alpha^2 of a uniformly random direction is
 * Beta(k/2, (d - k)/2), whatever the subspace.
 */
export function nullSpaceCut(k: number, d: number, quantile = 0.999): number {
  checkCount(k, d);
  if (k === d) return 1;
  return Math.sqrt(betaQuantile(quantile, k / 2, (d - k) / 2));
}

function checkCount(k: number, d: number): void {
  if (Number.isInteger(k) && k >= 1 && k <= d) return;
  throw new ConfigError({
    code: "NULL_SPACE_COUNT",
    message: `k = ${k} weakest directions of ${d}`,
    fix: `give an integer from 1 to ${d}; the paper uses 10`,
  });
}

function checkGain(unembedding: Rows, gain: Float32Array): void {
  if (gain.length === unembedding.width) return;
  throw new ShapeError({
    code: "UNEMBEDDING_GAIN",
    message: `unembedding rows are ${unembedding.width} wide, the final norm's gain ${gain.length}`,
    fix: "give both from the same model",
  });
}
