import { ConfigError } from "@latentkit/core";
import type { TensorToWrite } from "@latentkit/loaders";
import type { Device } from "@latentkit/tensor";
import { foldGate } from "../architectures/gated.ts";
import { Sae } from "../sae.ts";
import { outputWidth, type SaeWeights } from "../weights.ts";
import { foldDecoderNorms, foldInputScale, foldWhitening, type Whitening } from "./fold.ts";
import type { SaeLensConfig } from "./saelens-config.ts";
import {
  afterRelu,
  readLatentRows,
  readWeight,
  transposed,
  type WeightSource,
  withLatentScale,
} from "./weight-source.ts";

/** How weights are read. */
export interface ReadSaeOptions {
  readonly device: Device;
  /**
   * The factor that SAELens scaled inputs by in training, for SAEs with `expected_average_only_in` that are not folded: it is in
   * `activation_scaler.json` of a training checkpoint, and nowhere in the SAE itself.
   */
  readonly inputScale?: number | undefined;
  /** What SAELens whitened inputs by, for SAEs with `covariance_whitening` that are not folded: `activation_whitening.safetensors`. */
  readonly whitening?: Whitening | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * An SAE or transcoder from SAELens's tensors: W_enc `[d_in, d_sae]`, W_dec `[d_sae, d_out]`, b_enc, b_dec, theta for JumpReLU, W_skip
 * `[d_out, d_in]`; for Gated b_gate, b_mag and r_mag instead of b_enc, as the JumpReLU that it is. Scaled and whitened inputs, decoder norms
 * and fine-tuned scaling factors are folded away; negative thresholds become 0, since SAELens applies a ReLU first.
 *
 * @throws FormatError `TENSOR_MISSING`, `SAE_WEIGHTS_SHAPE`, `SAE_WEIGHTS_NOT_FINITE`; ConfigError `SAE_INPUT_SCALE_UNKNOWN`,
 *   `SAE_WHITENING_UNKNOWN`, `SAE_UNSUPPORTED`
 */
export async function readSaeLensWeights(
  source: WeightSource,
  parsed: SaeLensConfig,
  options: ReadSaeOptions,
): Promise<Sae> {
  let weights = await readTensors(source, parsed, options.signal);
  weights = await withScalingFactor(weights, source, parsed, options.signal);
  if (parsed.scaledInput)
    weights = withInputScale(weights, parsed, inputScaleOf(options.inputScale, source.name));
  if (parsed.rescaleByDecoderNorm) weights = foldDecoderNorms(weights);
  if (parsed.whitenedInput) {
    const { applyBDecToInput } = parsed.config;
    const whitening = whiteningOf(options.whitening, parsed, source.name);
    const { device } = options;
    weights = await foldWhitening(weights, whitening, { device, applyBDecToInput });
  }
  return Sae.fromWeights(options.device, parsed.config, weights);
}

/** How the numbers of `sae_weights.safetensors` are stored. */
export type SaeDType = "f16" | "f32";

/**
 * The tensors of `sae_weights.safetensors`.
 *
 * @param options.tied leaves the encoder out, as matching pursuit has none beside its decoder
 */
export function saeLensTensors(
  weights: SaeWeights,
  dtype: SaeDType = "f32",
  options: { readonly tied?: boolean } = {},
): TensorToWrite[] {
  const dSae = weights.encoderBias.length;
  const dOut = weights.decoderBias.length;
  const dIn = weights.encoderRows.length / dSae;
  const matrix = transposed(weights.encoderRows, dSae, dIn);
  const tied = options.tied === true;
  const tensors: TensorToWrite[] = [
    ...(tied ? [] : [{ name: "W_enc", dtype, shape: [dIn, dSae], bytes: matrix }]),
    { name: "W_dec", dtype, shape: [dSae, dOut], bytes: weights.decoder },
    ...(tied ? [] : [{ name: "b_enc", dtype, shape: [dSae], bytes: weights.encoderBias }]),
    { name: "b_dec", dtype, shape: [dOut], bytes: weights.decoderBias },
  ];
  if (weights.threshold !== null)
    tensors.push({ name: "threshold", dtype, shape: [dSae], bytes: weights.threshold });
  const skip = weights.skip ?? null;
  if (skip !== null) tensors.push({ name: "W_skip", dtype, shape: [dOut, dIn], bytes: skip });
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

async function readTensors(
  source: WeightSource,
  parsed: SaeLensConfig,
  signal?: AbortSignal,
): Promise<SaeWeights> {
  const { config, architecture } = parsed;
  const { dIn, dSae } = config;
  const dOut = outputWidth(config);
  const reading = { source, dSae, signal };
  const vector = (name: string, length = dSae): Promise<Float32Array<ArrayBuffer>> =>
    readWeight(reading, name, [length]);
  const decoded = (): Promise<Float32Array> => readLatentRows(reading, "W_dec", dOut, "rows");
  if (architecture === "matching_pursuit") {
    // Tied: rows of the decoder are the encoder's. SAELens leaves b_dec out of both sides or of none.
    const decoder = await decoded();
    const decoderBias = parsed.hasDecoderBias
      ? await vector("b_dec", dOut)
      : new Float32Array(dOut);
    const encoderBias = new Float32Array(dSae);
    return { encoderRows: decoder, decoder, encoderBias, decoderBias, threshold: null };
  }
  const weights: SaeWeights = {
    encoderRows: await readLatentRows(reading, "W_enc", dIn, "columns"),
    decoder: await decoded(),
    encoderBias: await vector(architecture === "gated" ? "b_mag" : "b_enc"),
    decoderBias: await vector("b_dec", dOut),
    threshold: await thresholdOf(source, parsed, vector),
    ...(parsed.hasSkip ? { skip: await readWeight(reading, "W_skip", [dOut, dIn]) } : {}),
  };
  if (architecture !== "gated") return weights;
  const gate = { gateBias: await vector("b_gate"), magnitudeScale: await vector("r_mag") };
  return foldGate(weights, gate);
}

async function thresholdOf(
  source: WeightSource,
  { config, architecture, threshold }: SaeLensConfig,
  vector: (name: string) => Promise<Float32Array<ArrayBuffer>>,
): Promise<Float32Array | null> {
  // A Gated SAE's follows from its biases.
  if (config.architecture !== "jumprelu" || architecture === "gated") return null;
  // ReLU(pre) = pre H(pre - 0), exactly.
  if (threshold === "zero") return new Float32Array(config.dSae);
  if (threshold === "each") return afterRelu(await vector("threshold"));
  const [one = 0] = await readWeight({ source }, "topk_threshold", []);
  return new Float32Array(config.dSae).fill(Math.max(0, one));
}

/** Older files hold a scaling factor that is all ones unless it was fine-tuned. */
async function withScalingFactor(
  weights: SaeWeights,
  source: WeightSource,
  { fineTuned }: SaeLensConfig,
  signal?: AbortSignal,
): Promise<SaeWeights> {
  if (!source.has("scaling_factor")) return weights;
  const factors = await readWeight({ source, signal }, "scaling_factor", [
    weights.encoderBias.length,
  ]);
  if (fineTuned) return withLatentScale(weights, factors);
  checkScalingFactor(factors, source.name);
  return weights;
}

/** Throws ConfigError `SAE_UNSUPPORTED` for factors other than 1 in a file that does not say what they are for. */
export function checkScalingFactor(factors: Float32Array | undefined, where: string): void {
  if (factors?.every((factor) => Math.abs(factor - 1) <= 1e-5) !== false) return;
  throw new ConfigError({
    code: "SAE_UNSUPPORTED",
    message:
      "this SAE has a scaling_factor other than 1, but its configuration does not say that it was fine-tuned (finetuning_scaling_factor)",
    fix: "set finetuning_scaling_factor in cfg.json if latents are to be multiplied by it before they are decoded, or fold it into the weights",
    where,
  });
}

function withInputScale(weights: SaeWeights, parsed: SaeLensConfig, scale: number): SaeWeights {
  const folded = foldInputScale(weights, scale);
  // BatchTopK's one threshold is compared with pre-activations times decoder norms, which have just become smaller.
  if (parsed.threshold !== "one" || !parsed.rescaleByDecoderNorm) return folded;
  return { ...folded, threshold: weights.threshold?.map((value) => value / scale) ?? null };
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

function whiteningOf(
  given: Whitening | undefined,
  { config: { dIn } }: SaeLensConfig,
  where: string,
): Whitening {
  if (given?.mean.length === dIn) return given;
  throw new ConfigError({
    code: "SAE_WHITENING_UNKNOWN",
    message: `this SAE was trained on whitened inputs (covariance_whitening), and ${given === undefined ? "what whitened them is not in its files" : `it has width ${dIn}, what whitened them ${given.mean.length}`}`,
    fix: "put the training checkpoint's activation_whitening.safetensors beside it, or save the SAE with SAELens after training, which folds it",
    where,
  });
}
