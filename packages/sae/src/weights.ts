import { formatShape, MismatchError, sameShape, ShapeError } from "@latentkit/core";
import type { Device, Tensor } from "@latentkit/tensor";
import type { SaeConfig } from "./config.ts";

/** An SAE's weights on the host, f32. Rows of the encoder and the decoder belong to latents. */
export interface SaeWeights {
  /** W_enc transposed, `[d_sae, d_in]`: row i is the direction that latent i reads. Matching pursuit reads by its decoder instead. */
  readonly encoderRows: Float32Array;
  /** W_dec, `[d_sae, d_out]`: row i is the direction that latent i writes. d_out is d_in but for transcoders. */
  readonly decoder: Float32Array;
  /** b_enc, `[d_sae]`. Matching pursuit has none: zeros. */
  readonly encoderBias: Float32Array;
  /** b_dec, `[d_out]`. */
  readonly decoderBias: Float32Array;
  /** theta, `[d_sae]`; null where the architecture has none. */
  readonly threshold: Float32Array | null;
  /** W_skip, `[d_out, d_in]`, of a skip transcoder, which adds W_skip x to its output; null, or left out, where there is none. */
  readonly skip?: Float32Array | null | undefined;
}

/** {@link SaeWeights} as tensors of one device. */
export interface SaeTensors {
  readonly encoderRows: Tensor;
  readonly decoder: Tensor;
  readonly encoderBias: Tensor;
  readonly decoderBias: Tensor;
  readonly threshold: Tensor | null;
  readonly skip?: Tensor | null | undefined;
}

/** Width of what an SAE writes: d_out of a transcoder, else d_in. */
export function outputWidth(config: Pick<SaeConfig, "dIn" | "dOut">): number {
  return config.dOut ?? config.dIn;
}

/** Copies weights to a device. The caller disposes the tensors. */
export function uploadWeights(device: Device, config: SaeConfig, weights: SaeWeights): SaeTensors {
  const { dIn, dSae } = config;
  const dOut = outputWidth(config);
  const skip = weights.skip ?? null;
  // A scope frees what there is already when an array is of another size.
  return device.scope(() => ({
    encoderRows: device.tensor(weights.encoderRows, [dSae, dIn]),
    decoder: device.tensor(weights.decoder, [dSae, dOut]),
    encoderBias: device.tensor(weights.encoderBias, [dSae]),
    decoderBias: device.tensor(weights.decoderBias, [dOut]),
    threshold: weights.threshold === null ? null : device.tensor(weights.threshold, [dSae]),
    skip: skip === null ? null : device.tensor(skip, [dOut, dIn]),
  }));
}

/** Copies weights to the host. */
export async function downloadWeights(tensors: SaeTensors): Promise<SaeWeights> {
  const skip = tensors.skip ?? null;
  return {
    encoderRows: await tensors.encoderRows.floats(),
    decoder: await tensors.decoder.floats(),
    encoderBias: await tensors.encoderBias.floats(),
    decoderBias: await tensors.decoderBias.floats(),
    threshold: tensors.threshold === null ? null : await tensors.threshold.floats(),
    ...(skip === null ? {} : { skip: await skip.floats() }),
  };
}

/** Throws {@link ShapeError} `SAE_WEIGHTS_SHAPE` unless the tensors have the sizes that the configuration says. */
export function checkTensors(config: SaeConfig, tensors: SaeTensors): void {
  const { dIn, dSae } = config;
  const dOut = outputWidth(config);
  const expected = {
    encoderRows: [dSae, dIn],
    decoder: [dSae, dOut],
    encoderBias: [dSae],
    decoderBias: [dOut],
  };
  for (const [name, shape] of Object.entries(expected)) {
    // Object.entries forgets that the keys are those of the literal above.
    const given = tensors[name as keyof typeof expected].shape;
    if (!sameShape(given, shape)) throw shapeError(name, given, shape);
  }
  const wanted = config.architecture === "jumprelu";
  if (wanted !== (tensors.threshold !== null)) {
    throw new ShapeError({
      code: "SAE_WEIGHTS_SHAPE",
      message: `a ${config.architecture} SAE ${wanted ? "needs a threshold of shape" : "has no threshold, but was given one beside"} ${formatShape([dSae])}`,
      fix: wanted ? "give a threshold tensor" : "give null as the threshold",
    });
  }
  if (tensors.threshold !== null && !sameShape(tensors.threshold.shape, [dSae])) {
    throw shapeError("threshold", tensors.threshold.shape, [dSae]);
  }
  const skip = tensors.skip ?? null;
  if (skip === null) return;
  if (config.dOut === null) {
    throw new ShapeError({
      code: "SAE_WEIGHTS_SHAPE",
      message: "an autoencoder has no skip connection, but was given one",
      fix: "give dOut for a transcoder, or null as the skip",
    });
  }
  if (!sameShape(skip.shape, [dOut, dIn])) throw shapeError("skip", skip.shape, [dOut, dIn]);
}

/** Throws {@link MismatchError} `SAE_WIDTH` unless activations of `width` fit the SAE. */
export function checkWidth(config: SaeConfig, width: number, what: string): void {
  if (width === config.dIn) return;
  const site =
    config.metadata.hookName === undefined ? "" : ` (trained on ${config.metadata.hookName})`;
  throw new MismatchError({
    code: "SAE_WIDTH",
    message: `${what} is ${width} wide, but the SAE${site} reads activations of width ${config.dIn}`,
    fix: "use the model and site that the SAE was trained on, or an SAE of this width",
  });
}

function shapeError(
  name: string,
  given: readonly number[],
  expected: readonly number[],
): ShapeError {
  return new ShapeError({
    code: "SAE_WEIGHTS_SHAPE",
    message: `${name} has shape ${formatShape(given)}, but the configuration says ${formatShape(expected)}`,
    fix: "give weights that belong to the configuration",
  });
}
