import { formatShape, MismatchError, sameShape, ShapeError } from "@latentkit/core";
import type { Device, Tensor } from "@latentkit/tensor";
import type { SaeConfig } from "./config.ts";

/** An SAE's weights on the host, f32. Rows of the encoder and the decoder belong to latents. */
export interface SaeWeights {
  /** W_enc transposed, `[d_sae, d_in]`: row i is the direction that latent i reads. */
  readonly encoderRows: Float32Array;
  /** W_dec, `[d_sae, d_in]`: row i is the direction that latent i writes. */
  readonly decoder: Float32Array;
  /** b_enc, `[d_sae]`. */
  readonly encoderBias: Float32Array;
  /** b_dec, `[d_in]`. */
  readonly decoderBias: Float32Array;
  /** theta, `[d_sae]`; null where the architecture has none. */
  readonly threshold: Float32Array | null;
}

/** {@link SaeWeights} as tensors of one device. */
export interface SaeTensors {
  readonly encoderRows: Tensor;
  readonly decoder: Tensor;
  readonly encoderBias: Tensor;
  readonly decoderBias: Tensor;
  readonly threshold: Tensor | null;
}

/** Copies weights to a device. The caller disposes the tensors. */
export function uploadWeights(device: Device, config: SaeConfig, weights: SaeWeights): SaeTensors {
  const { dIn, dSae } = config;
  return {
    encoderRows: device.tensor(weights.encoderRows, [dSae, dIn]),
    decoder: device.tensor(weights.decoder, [dSae, dIn]),
    encoderBias: device.tensor(weights.encoderBias, [dSae]),
    decoderBias: device.tensor(weights.decoderBias, [dIn]),
    threshold: weights.threshold === null ? null : device.tensor(weights.threshold, [dSae]),
  };
}

/** Copies weights to the host. */
export async function downloadWeights(tensors: SaeTensors): Promise<SaeWeights> {
  return {
    encoderRows: await tensors.encoderRows.floats(),
    decoder: await tensors.decoder.floats(),
    encoderBias: await tensors.encoderBias.floats(),
    decoderBias: await tensors.decoderBias.floats(),
    threshold: tensors.threshold === null ? null : await tensors.threshold.floats(),
  };
}

/** Throws {@link ShapeError} `SAE_WEIGHTS_SHAPE` unless the tensors have the sizes that the configuration says. */
export function checkTensors(config: SaeConfig, tensors: SaeTensors): void {
  const { dIn, dSae } = config;
  const expected = {
    encoderRows: [dSae, dIn],
    decoder: [dSae, dIn],
    encoderBias: [dSae],
    decoderBias: [dIn],
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
