import { Random } from "@latentkit/core";

/** Stream of the weights' random numbers, apart from whatever else one seed is used for. */
const weightStream = 0x5ae;

/**
 * W_dec, `[dSae, dIn]`: He-uniform (uniform within sqrt(6 / d_in)), then rows of unit norm, in f64 before rounding.
 * An autoencoder's encoder starts as the same rows and is free from then on.
 *
 * @param stream another number gives other rows of the same seed
 */
export function initialDecoder(
  dSae: number,
  dIn: number,
  seed: number,
  stream = 0,
): Float32Array<ArrayBuffer> {
  const random = new Random(seed, weightStream + stream);
  const bound = Math.sqrt(6 / dIn);
  const weights = new Float32Array(dSae * dIn);
  const row = new Float64Array(dIn);
  for (let latent = 0; latent < dSae; latent++) {
    let squares = 0;
    for (let column = 0; column < dIn; column++) {
      const value = bound * (2 * random.uniform() - 1);
      row[column] = value;
      squares += value * value;
    }
    const scale = squares > 0 ? 1 / Math.sqrt(squares) : 0;
    for (let column = 0; column < dIn; column++)
      weights[latent * dIn + column] = (row[column] ?? 0) * scale;
  }
  return weights;
}

/**
 * The point with the least summed distance to the rows of `data [n, dIn]`, by Weiszfeld's iteration from their mean, until it
 * moves less than `tolerance` of its distance to the data, at most 100 times.
 */
export function geometricMedian(data: Float32Array, dIn: number, tolerance = 1e-6): Float64Array {
  const rows = data.length / dIn;
  let centre = new Float64Array(dIn);
  for (let index = 0; index < data.length; index++)
    centre[index % dIn] = (centre[index % dIn] ?? 0) + (data[index] ?? 0) / rows;
  for (let iteration = 0; iteration < 100; iteration++) {
    const next = new Float64Array(dIn);
    let weights = 0;
    let distances = 0;
    for (let start = 0; start < data.length; start += dIn) {
      let squares = 0;
      for (let column = 0; column < dIn; column++)
        squares += ((data[start + column] ?? 0) - (centre[column] ?? 0)) ** 2;
      const distance = Math.max(Math.sqrt(squares), 1e-12);
      distances += distance;
      weights += 1 / distance;
      for (let column = 0; column < dIn; column++)
        next[column] = (next[column] ?? 0) + (data[start + column] ?? 0) / distance;
    }
    let moved = 0;
    for (let column = 0; column < dIn; column++) {
      const value = (next[column] ?? 0) / weights;
      moved += (value - (centre[column] ?? 0)) ** 2;
      next[column] = value;
    }
    centre = next;
    if (Math.sqrt(moved) <= (tolerance * distances) / rows) break;
  }
  return centre;
}
