import type { Device } from "@latentkit/tensor";
import { Sae } from "../sae.ts";
import type { SaeWeights } from "../weights.ts";

/** An SAE that reconstructs every input exactly: a latent for each axis and sign, ReLU(x) - ReLU(-x) = x. */
export function identitySae(device: Device, dIn: number, changes: Partial<SaeWeights> = {}): Sae {
  const rows = Float32Array.from({ length: 2 * dIn * dIn }, (_, index) => {
    const [latent, column] = [Math.floor(index / dIn), index % dIn];
    return latent % dIn === column ? (latent < dIn ? 1 : -1) : 0;
  });
  return Sae.fromWeights(
    device,
    { architecture: "jumprelu", dIn, dSae: 2 * dIn },
    {
      encoderRows: rows,
      decoder: rows,
      encoderBias: new Float32Array(2 * dIn),
      decoderBias: new Float32Array(dIn),
      threshold: new Float32Array(2 * dIn),
      ...changes,
    },
  );
}
