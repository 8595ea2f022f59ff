import type { InferenceForm } from "../train/training-architecture.ts";
import type { SaeWeights } from "../weights.ts";

/**
 * A ReLU as a JumpReLU of threshold 0, exactly, with the decoder's rows brought to unit norm: W_dec /= ||d_i||, W_enc and b_enc *= ||d_i||,
 * so that latents come out in units of the input.
 */
export function withZeroThreshold(weights: SaeWeights): InferenceForm {
  return withThreshold(withUnitDecoder(weights), 0);
}

/** A JumpReLU with its decoder's rows brought to unit norm as above; theta is multiplied by ||d_i|| too. */
export function jumpReluForm(weights: SaeWeights): InferenceForm {
  return { kind: { architecture: "jumprelu" }, weights: withUnitDecoder(weights) };
}

/** A JumpReLU with one threshold for all latents. */
export function withThreshold(weights: SaeWeights, threshold: number): InferenceForm {
  return {
    kind: { architecture: "jumprelu" },
    weights: { ...weights, threshold: weights.encoderBias.map(() => threshold) },
  };
}

function withUnitDecoder(weights: SaeWeights): SaeWeights {
  const { encoderRows, decoder, encoderBias, threshold } = weights;
  const [dIn, dOut] = [encoderRows.length / encoderBias.length, weights.decoderBias.length];
  const norms = Float64Array.from(encoderBias, (_, latent) => {
    let squares = 0;
    for (let column = 0; column < dOut; column++)
      squares += (decoder[latent * dOut + column] ?? 0) ** 2;
    // A row of norm 0 writes nothing, whatever it is divided by; one that rounding alone keeps from 1 stays as it is.
    const norm = Math.sqrt(squares) || 1;
    return Math.abs(norm - 1) < 1e-5 ? 1 : norm;
  });
  const normAt = (index: number, width: number): number => norms[Math.floor(index / width)] ?? 1;
  return {
    ...weights,
    encoderRows: encoderRows.map((value, index) => value * normAt(index, dIn)),
    decoder: decoder.map((value, index) => value / normAt(index, dOut)),
    encoderBias: encoderBias.map((value, latent) => value * (norms[latent] ?? 1)),
    threshold: threshold?.map((value, latent) => value * (norms[latent] ?? 1)) ?? null,
  };
}
