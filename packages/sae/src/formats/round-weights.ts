import { ConfigError, fromF16Bits, toF16Bits } from "@latentkit/core";
import type { SaeWeights } from "../weights.ts";

/**
 * The weights as they come back from f16.
 *
 * Throws {@link ConfigError} `SAE_F16_RANGE` for a number that f16 has no place for: it would come back as infinity, and no reader takes
 * that.
 */
export function roundedToF16(weights: SaeWeights): SaeWeights {
  const { threshold, skip = null } = weights;
  return {
    encoderRows: rounded("W_enc", weights.encoderRows),
    decoder: rounded("W_dec", weights.decoder),
    encoderBias: rounded("b_enc", weights.encoderBias),
    decoderBias: rounded("b_dec", weights.decoderBias),
    threshold: threshold === null ? null : rounded("threshold", threshold),
    ...(skip === null ? {} : { skip: rounded("W_skip", skip) }),
  };
}

function rounded(name: string, values: Float32Array): Float32Array {
  return values.map((value, index) => {
    const stored = fromF16Bits(toF16Bits(value));
    if (Number.isFinite(stored)) return stored;
    throw new ConfigError({
      code: "SAE_F16_RANGE",
      message: `${name} holds ${value} at element ${index}, and f16 has numbers up to 65504`,
      fix: "write this SAE as f32",
    });
  });
}
