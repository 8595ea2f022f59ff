import { FormatError, formatShape, sameShape, type Shape } from "@latentkit/core";
import { didYouMean, type TensorStore } from "@latentkit/loaders";
import type { SaeWeights } from "../weights.ts";

/** Named arrays of one file, read as f32. A `TensorStore` is one. */
export type WeightSource = Pick<TensorStore, "has" | "info" | "name" | "names" | "readFloats">;

/** How a matrix between latents and activations lies: a row for each latent, `[d_sae, width]`, or a column, `[width, d_sae]`. */
export type LatentsAs = "columns" | "rows";

/** What reading needs to know of an SAE. */
interface Reading {
  readonly source: WeightSource;
  readonly dSae: number;
  readonly signal?: AbortSignal | undefined;
}

/**
 * A tensor, checked for its shape and for numbers that are none.
 *
 * @throws FormatError `TENSOR_MISSING`, `SAE_WEIGHTS_SHAPE`, `SAE_WEIGHTS_NOT_FINITE`
 */
export async function readWeight(
  { source, signal }: Omit<Reading, "dSae">,
  name: string,
  shape: Shape,
): Promise<Float32Array<ArrayBuffer>> {
  const given = source.info(firstOf(source, [name])).shape;
  if (!sameShape(given, shape)) {
    throw new FormatError({
      code: "SAE_WEIGHTS_SHAPE",
      message: `${name} has shape ${formatShape(given)}, but the configuration says ${formatShape(shape)}`,
      fix: "give a configuration and weights of the same SAE",
      where: source.name,
    });
  }
  const values = await source.readFloats(name, { signal });
  checkFinite(name, values, source.name);
  return values;
}

/** A matrix as `[d_sae, width]`, however it lies in the file. Throws as {@link readWeight}. */
export async function readLatentRows(
  reading: Reading,
  name: string,
  width: number,
  latents: LatentsAs,
): Promise<Float32Array<ArrayBuffer>> {
  const { dSae } = reading;
  if (latents === "rows") return readWeight(reading, name, [dSae, width]);
  return transposed(await readWeight(reading, name, [width, dSae]), width, dSae);
}

/** The first of these names that there is. Throws FormatError `TENSOR_MISSING` with what was looked for. */
export function firstOf(source: WeightSource, names: readonly string[]): string {
  const found = names.find((name) => source.has(name));
  if (found !== undefined) return found;
  throw missing(names, source.names(), source.name);
}

/** `d_in` and `d_sae`, by the shape of an encoder. */
export function encoderSizes(
  source: WeightSource,
  name: string,
  latents: LatentsAs,
): { readonly dIn: number; readonly dSae: number } {
  const { shape } = source.info(name);
  const [first = 0, second = 0] = shape;
  if (shape.length !== 2 || first === 0 || second === 0) {
    throw new FormatError({
      code: "SAE_WEIGHTS_SHAPE",
      message: `${name} has shape ${formatShape(shape)}, but an encoder is a matrix of activations and latents`,
      fix: "give the weights of one SAE",
      where: source.name,
    });
  }
  return latents === "rows" ? { dIn: second, dSae: first } : { dIn: first, dSae: second };
}

function missing(wanted: readonly string[], given: readonly string[], where: string): FormatError {
  const [first = ""] = wanted;
  const near = didYouMean(first, given);
  return new FormatError({
    code: "TENSOR_MISSING",
    message: `there is no array "${wanted.join('" or "')}" among ${given.join(", ") || "none"}${near === null ? "" : `; did you mean "${near}"?`}`,
    fix: "give the weights of one SAE, in one of the formats that are read",
    where,
  });
}

/** Throws FormatError `SAE_WEIGHTS_NOT_FINITE`, naming the element. */
export function checkFinite(name: string, values: Float32Array, where: string): void {
  // A plain loop: a callback for each of some 10^8 weights takes seconds.
  let at = 0;
  while (at < values.length && Number.isFinite(values[at])) at++;
  if (at === values.length) return;
  throw new FormatError({
    code: "SAE_WEIGHTS_NOT_FINITE",
    message: `${name} holds ${values[at]} at element ${at}`,
    fix: "the training that wrote it diverged, or the file is damaged: give another checkpoint",
    where,
  });
}

/** `[rows, columns]` to `[columns, rows]`, in tiles that stay in the cache. */
export function transposed(
  values: Float32Array,
  rows: number,
  columns: number,
): Float32Array<ArrayBuffer> {
  const result = new Float32Array(values.length);
  const tile = 32;
  for (let rowStart = 0; rowStart < rows; rowStart += tile) {
    for (let columnStart = 0; columnStart < columns; columnStart += tile) {
      const [rowEnd, columnEnd] = [
        Math.min(rows, rowStart + tile),
        Math.min(columns, columnStart + tile),
      ];
      for (let row = rowStart; row < rowEnd; row++) {
        for (let column = columnStart; column < columnEnd; column++)
          result[column * rows + row] = values[row * columns + column] ?? 0;
      }
    }
  }
  return result;
}

/** A threshold below 0 cuts nothing off what a ReLU let through before it. */
export function afterRelu(threshold: Float32Array): Float32Array<ArrayBuffer> {
  return threshold.map((value) => Math.max(value, 0));
}

/** Weights whose scaling factor, if there is one, goes into what latents write, as SAELens did before 6.0 for `finetuning_scaling_factor`. */
export function withLatentScale(weights: SaeWeights, factors: Float32Array): SaeWeights {
  const width = weights.decoderBias.length;
  return {
    ...weights,
    decoder: weights.decoder.map((value, at) => value * (factors[Math.floor(at / width)] ?? 1)),
  };
}
