import { ConfigError, FormatError, formatShape, sameShape, type Shape } from "@latentkit/core";
import type { TensorStore, TensorToWrite } from "@latentkit/loaders";
import type { Device } from "@latentkit/tensor";
import { foldGate } from "../architectures/gated.ts";
import { Sae } from "../sae.ts";
import type { SaeWeights } from "../weights.ts";
import type { SaeLensConfig } from "./saelens-config.ts";

/** How weights are read. */
export interface ReadSaeOptions {
  readonly device: Device;
  /**
   * The factor that SAELens scaled inputs by in training, for SAEs with `expected_average_only_in` that are not folded: it is in
   * `activation_scaler.json` of a training checkpoint, and nowhere in the SAE itself.
   */
  readonly inputScale?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * An SAE from SAELens's tensors: W_enc `[d_in, d_sae]`, W_dec `[d_sae, d_in]`, b_enc, b_dec, and theta for JumpReLU;
 * for Gated b_gate, b_mag and r_mag instead of b_enc, as the JumpReLU that it is. Scaled inputs
 * and decoder norms are folded away; negative thresholds become 0, since SAELens applies a ReLU first.
 *
 * @throws FormatError `TENSOR_MISSING`, `SAE_WEIGHTS_SHAPE`, `SAE_WEIGHTS_NOT_FINITE`; ConfigError `SAE_INPUT_SCALE_UNKNOWN`
 */
export async function readSaeLensWeights(
  store: TensorStore,
  parsed: SaeLensConfig,
  options: ReadSaeOptions,
): Promise<Sae> {
  const { dIn, dSae } = parsed.config;
  const read = async (name: string, shape: Shape): Promise<Float32Array<ArrayBuffer>> => {
    const info = store.info(name);
    if (!sameShape(info.shape, shape)) {
      throw new FormatError({
        code: "SAE_WEIGHTS_SHAPE",
        message: `${name} has shape ${formatShape(info.shape)}, but the configuration says ${formatShape(shape)}`,
        fix: "give a configuration and weights of the same SAE",
        where: store.name,
      });
    }
    const values = await store.readFloats(name, { signal: options.signal });
    checkFinite(name, values, store.name);
    return values;
  };
  let weights: SaeWeights = {
    encoderRows: transposed(await read("W_enc", [dIn, dSae]), dIn, dSae),
    decoder: await read("W_dec", [dSae, dIn]),
    encoderBias: await read(parsed.architecture === "gated" ? "b_mag" : "b_enc", [dSae]),
    decoderBias: await read("b_dec", [dIn]),
    threshold: await readThreshold(parsed, read, dSae),
  };
  if (parsed.architecture === "gated") {
    weights = foldGate(weights, {
      gateBias: await read("b_gate", [dSae]),
      magnitudeScale: await read("r_mag", [dSae]),
    });
  }
  if (store.has("scaling_factor"))
    checkScalingFactor(await store.readFloats("scaling_factor"), store.name);
  if (parsed.scaledInput)
    weights = foldInputScale(weights, inputScaleOf(options.inputScale, store.name));
  if (parsed.rescaleByDecoderNorm) weights = foldDecoderNorms(weights);
  return Sae.fromWeights(options.device, parsed.config, weights);
}

/** How the numbers of `sae_weights.safetensors` are stored. */
export type SaeDType = "f16" | "f32";

/** The tensors of `sae_weights.safetensors`. */
export function saeLensTensors(weights: SaeWeights, dtype: SaeDType = "f32"): TensorToWrite[] {
  const dSae = weights.encoderBias.length;
  const dIn = weights.decoderBias.length;
  const tensors: TensorToWrite[] = [
    {
      name: "W_enc",
      dtype,
      shape: [dIn, dSae],
      bytes: transposed(weights.encoderRows, dSae, dIn),
    },
    { name: "W_dec", dtype, shape: [dSae, dIn], bytes: weights.decoder },
    { name: "b_enc", dtype, shape: [dSae], bytes: weights.encoderBias },
    { name: "b_dec", dtype, shape: [dIn], bytes: weights.decoderBias },
  ];
  if (weights.threshold !== null)
    tensors.push({ name: "threshold", dtype, shape: [dSae], bytes: weights.threshold });
  return tensors;
}

/** `sparsity.safetensors`: log10(density + 1e-10) of each latent. */
export function saeLensSparsity(densities: Float32Array): TensorToWrite[] {
  return [
    {
      name: "sparsity",
      dtype: "f32",
      shape: [densities.length],
      bytes: densities.map((density) => Math.log10(density + 1e-10)),
    },
  ];
}

type Read = (name: string, shape: Shape) => Promise<Float32Array<ArrayBuffer>>;

async function readThreshold(
  parsed: SaeLensConfig,
  read: Read,
  dSae: number,
): Promise<Float32Array | null> {
  // A Gated SAE's follows from its biases.
  if (parsed.architecture === "topk" || parsed.architecture === "gated") return null;
  // ReLU(pre) = pre H(pre - 0), exactly.
  if (parsed.architecture === "standard") return new Float32Array(dSae);
  return (await read("threshold", [dSae])).map((value) => Math.max(value, 0));
}

/** Older files hold a scaling factor that is all ones unless it was fine-tuned. Throws ConfigError `SAE_UNSUPPORTED`. */
export function checkScalingFactor(factors: Float32Array | undefined, where: string): void {
  if (factors?.every((factor) => Math.abs(factor - 1) <= 1e-5) !== false) return;
  throw new ConfigError({
    code: "SAE_UNSUPPORTED",
    message: "this SAE has a fine-tuned scaling_factor, which is not supported",
    fix: "fold it into the weights and save again",
    where,
  });
}

function inputScaleOf(given: number | undefined, where: string): number {
  if (given !== undefined && Number.isFinite(given) && given > 0) return given;
  throw new ConfigError({
    code: "SAE_INPUT_SCALE_UNKNOWN",
    message: `this SAE was trained on inputs scaled by sqrt(d_in) / mean norm (expected_average_only_in), and ${given === undefined ? "the factor is not in its files" : `${given} is no such factor`}`,
    fix: "pass inputScale, for example the scaling_factor of the training checkpoint's activation_scaler.json",
    where,
  });
}

/** As SAELens folds it: W_enc *= s, W_dec /= s, b_dec /= s; latents stay in the scaled units. */
function foldInputScale(weights: SaeWeights, scale: number): SaeWeights {
  return {
    ...weights,
    encoderRows: weights.encoderRows.map((value) => value * scale),
    decoder: weights.decoder.map((value) => value / scale),
    decoderBias: weights.decoderBias.map((value) => value / scale),
  };
}

/** W_enc and b_enc times the decoder rows' norms, W_dec over them: the same selection and output, latents in those units. */
function foldDecoderNorms(weights: SaeWeights): SaeWeights {
  const dIn = weights.decoderBias.length;
  const norms = new Float64Array(weights.encoderBias.length);
  for (let index = 0; index < weights.decoder.length; index++) {
    const latent = Math.floor(index / dIn);
    norms[latent] = (norms[latent] ?? 0) + (weights.decoder[index] ?? 0) ** 2;
  }
  const norm = (latent: number): number => Math.sqrt(norms[latent] ?? 0);
  return {
    ...weights,
    encoderRows: weights.encoderRows.map((value, index) => value * norm(Math.floor(index / dIn))),
    encoderBias: weights.encoderBias.map((value, latent) => value * norm(latent)),
    // A row of norm 0 writes nothing, whatever it is divided by.
    decoder: weights.decoder.map((value, index) => value / (norm(Math.floor(index / dIn)) || 1)),
  };
}

/** Throws FormatError `SAE_WEIGHTS_NOT_FINITE`, naming the element. */
export function checkFinite(name: string, values: Float32Array, where: string): void {
  const at = values.findIndex((value) => !Number.isFinite(value));
  if (at < 0) return;
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
