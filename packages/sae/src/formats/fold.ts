import { type Device, linear, matmul } from "@latentkit/tensor";
import type { SaeWeights } from "../weights.ts";

/** An affine map of activations, `z = (x - mean) M`, back by `x = z M^-1 + mean`. */
export interface Whitening {
  /** `[d_in]`. */
  readonly mean: Float32Array;
  /** M, `[d_in, d_in]`. */
  readonly matrix: Float32Array;
  /** M^-1, `[d_in, d_in]`. */
  readonly inverse: Float32Array;
}

/** As SAELens folds inputs scaled by s: W_enc *= s, W_dec /= s, b_dec /= s; latents and theta stay in the scaled units. */
export function foldInputScale(weights: SaeWeights, scale: number): SaeWeights {
  return {
    ...weights,
    encoderRows: weights.encoderRows.map((value) => value * scale),
    decoder: weights.decoder.map((value) => value / scale),
    decoderBias: weights.decoderBias.map((value) => value / scale),
  };
}

/** W_enc and b_enc times the decoder rows' norms, W_dec over them: the same selection and output, latents in those units. */
export function foldDecoderNorms(weights: SaeWeights): SaeWeights {
  const { encoderRows, decoder, encoderBias } = weights;
  const dSae = encoderBias.length;
  const [dIn, dOut] = [encoderRows.length / dSae, decoder.length / dSae];
  const norms = Float64Array.from(encoderBias, (_, latent) => {
    let squares = 0;
    for (let column = 0; column < dOut; column++)
      squares += (decoder[latent * dOut + column] ?? 0) ** 2;
    return Math.sqrt(squares);
  });
  const norm = (latent: number): number => norms[latent] ?? 0;
  return {
    ...weights,
    encoderRows: encoderRows.map((value, at) => value * norm(Math.floor(at / dIn))),
    encoderBias: encoderBias.map((value, latent) => value * norm(latent)),
    // A row of norm 0 writes nothing, whatever it is divided by.
    decoder: decoder.map((value, at) => value / (norm(Math.floor(at / dOut)) || 1)),
  };
}

/**
 * As SAELens folds whitening (2511.13981): W_enc becomes M W_enc, W_dec becomes W_dec M^-1, b_dec becomes b_dec M^-1 + mean, and
 * where b_dec is not subtracted from the input, b_enc loses mean M W_enc. Latents stay as they are.
 */
export async function foldWhitening(
  weights: SaeWeights,
  { mean, matrix, inverse }: Whitening,
  options: { readonly device: Device; readonly applyBDecToInput: boolean },
): Promise<SaeWeights> {
  const { device, applyBDecToInput } = options;
  const [dIn, dSae] = [mean.length, weights.encoderBias.length];
  const folded = device.scope(() => {
    const unwhiten = device.tensor(inverse, [dIn, dIn]);
    const encoder = linear(
      device.tensor(weights.encoderRows, [dSae, dIn]),
      device.tensor(matrix, [dIn, dIn]),
    );
    return [
      encoder,
      matmul(device.tensor(weights.decoder, [dSae, dIn]), unwhiten),
      matmul(device.tensor(weights.decoderBias, [1, dIn]), unwhiten),
      linear(device.tensor(mean, [1, dIn]), encoder),
    ] as const;
  });
  try {
    const [encoderRows, decoder, bias, shift] = [
      await folded[0].floats(),
      await folded[1].floats(),
      await folded[2].floats(),
      await folded[3].floats(),
    ];
    return {
      ...weights,
      encoderRows,
      decoder,
      decoderBias: bias.map((value, column) => value + (mean[column] ?? 0)),
      encoderBias: applyBDecToInput
        ? weights.encoderBias
        : weights.encoderBias.map((value, latent) => value - (shift[latent] ?? 0)),
    };
  } finally {
    for (const tensor of folded) tensor.dispose();
  }
}
