import { Random } from "@latentkit/core";
import type { Device } from "@latentkit/tensor";
import { Sae } from "../sae.ts";

/** Small SAEs that are the same everywhere: the checkpoints that SAELens was shown are made of them. */
export function exampleSae(device: Device, architecture: "jumprelu" | "topk"): Sae {
  const [dIn, dSae] = [8, 24];
  const random = new Random(7, architecture === "topk" ? 1 : 2);
  // Uniforms are exact on every machine; normals are not.
  const draw = (length: number, low: number, high: number): Float32Array =>
    Float32Array.from({ length }, () => low + (high - low) * random.uniform());
  const common = {
    dIn,
    dSae,
    metadata: {
      modelName: "example/model",
      hookName: "blocks.1.hook_resid_post",
      weightsHash: "0".repeat(64),
      contextSize: 128,
      prependBos: false,
    },
  };
  const weights = {
    encoderRows: draw(dIn * dSae, -0.5, 0.5),
    decoder: draw(dIn * dSae, -0.5, 0.5),
    encoderBias: draw(dSae, -0.2, 0.2),
    decoderBias: draw(dIn, -0.2, 0.2),
  };
  return architecture === "topk"
    ? Sae.fromWeights(device, { ...common, architecture, k: 5 }, { ...weights, threshold: null })
    : Sae.fromWeights(
        device,
        { ...common, architecture, applyBDecToInput: true },
        { ...weights, threshold: draw(dSae, 0.05, 0.4) },
      );
}
