import type { SaeWeights } from "../weights.ts";

/**
 * Folds the input's scale C and the pre-encoder bias away, so that the result reads raw activations and needs neither
 * (Gemma Scope, appendix A): b_enc' = C b_enc - C W_enc b_dec, b_dec' = C b_dec, theta' = C theta; W_enc and W_dec stay, and
 * latents come out in units of the raw activations. In f64.
 *
 * @param weights as trained: on x / C, with b_dec subtracted from the encoder's input
 */
export function foldForExport(weights: SaeWeights, scale: number): SaeWeights {
  const { encoderRows, decoder, encoderBias, decoderBias, threshold } = weights;
  const dIn = decoderBias.length;
  return {
    encoderRows,
    decoder,
    encoderBias: encoderBias.map((bias, latent) => {
      let through = 0;
      for (let column = 0; column < dIn; column++)
        through += (encoderRows[latent * dIn + column] ?? 0) * (decoderBias[column] ?? 0);
      return scale * (bias - through);
    }),
    decoderBias: decoderBias.map((bias) => scale * bias),
    threshold: threshold === null ? null : threshold.map((value) => scale * value),
  };
}
