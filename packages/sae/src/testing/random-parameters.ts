import { Random } from "@latentkit/core";
import type { ReferenceParameters } from "./reference-step.ts";

/** Parameters and inputs with the sizes that real ones have: unit decoder rows, an encoder near them, biases, scaled inputs. */
export function randomStep(options: {
  readonly dIn: number;
  readonly dSae: number;
  readonly rows: number;
  readonly seed: number;
  readonly threshold: number | null;
}): {
  readonly parameters: ReferenceParameters;
  readonly x: Float64Array;
} {
  const { dIn, dSae, rows, seed, threshold } = options;
  const random = new Random(seed);
  // Rounded to f32, so that the f64 reference and the device start from the same numbers.
  const draw = (length: number, scale: number): Float64Array =>
    Float64Array.from({ length }, () => Math.fround(scale * random.normal()));
  const decoder = draw(dSae * dIn, 1);
  for (let latent = 0; latent < dSae; latent++) {
    const row = decoder.subarray(latent * dIn, (latent + 1) * dIn);
    const norm = Math.hypot(...row);
    for (const [index, value] of row.entries()) row[index] = Math.fround(value / norm);
  }
  return {
    parameters: {
      encoderRows: decoder.map((value) => Math.fround(value + 0.1 * random.normal())),
      decoder,
      encoderBias: draw(dSae, 0.1),
      decoderBias: draw(dIn, 0.1),
      threshold:
        threshold === null
          ? null
          : Float64Array.from({ length: dSae }, () =>
              Math.fround(threshold * (1 + 0.3 * random.uniform())),
            ),
    },
    x: draw(rows * dIn, 1 / Math.sqrt(dIn)),
  };
}
