import { Random } from "@latentkit/core";
import type { Device } from "@latentkit/tensor";
import { Sae } from "../sae.ts";
import { parseTrainConfig } from "../train/config.ts";
import { foldForExport } from "../train/fold.ts";
import { trainingArchitectureOf } from "../train/registry.ts";

/** Architectures whose SAEs take another form for inference. */
export const exportedKinds = ["batchtopk", "gated", "standard"] as const;

/** What training might have left, exported: the same everywhere, so that SAELens could be shown its files. */
export function exampleExport(device: Device, kind: (typeof exportedKinds)[number]): Sae {
  const [dIn, dSae] = [8, 24];
  const random = new Random(8, exportedKinds.indexOf(kind));
  // Uniforms are exact on every machine; normals are not.
  const draw = (length: number, low: number, high: number): Float32Array =>
    Float32Array.from({ length }, () => low + (high - low) * random.uniform());
  const run = {
    dSae,
    batchSize: 8,
    steps: 1,
    learningRate: 1e-3,
    adam: { beta1: 0, beta2: 0.999, epsilon: 1e-8 },
    decoderBias: "zero",
    deadAfterTokens: 1,
    evaluateEvery: 1,
    checkpointEvery: 1,
    architecture: kind,
  };
  const own = {
    batchtopk: { k: 4, auxiliaryWeight: 0 },
    gated: { sparsity: 0.1, sparsityWarmup: 0 },
    standard: { sparsity: 0.1, sparsityWarmup: 0, decoderNorm: "free" },
  }[kind];
  const config = parseTrainConfig({ ...run, ...own });
  const form = trainingArchitectureOf(config).inferenceForm?.(
    {
      weights: {
        encoderRows: draw(dIn * dSae, -0.5, 0.5),
        decoder: draw(dIn * dSae, -0.5, 0.5),
        encoderBias: draw(dSae, -0.2, 0.2),
        decoderBias: draw(dIn, -0.2, 0.2),
        threshold: null,
      },
      extras: { gate_bias: draw(dSae, -0.4, 0.2), magnitude_scale: draw(dSae, -0.5, 0.5) },
      memory: { threshold: [0.3] },
    },
    config,
  );
  if (form === undefined) throw new TypeError(`${kind} has no form for inference`);
  return Sae.fromWeights(
    device,
    {
      dIn,
      dSae,
      metadata: {
        convertedFrom: kind,
        modelName: "example/model",
        hookName: "blocks.1.hook_resid_post",
        weightsHash: "0".repeat(64),
        contextSize: 128,
        prependBos: false,
      },
      ...form.kind,
    },
    foldForExport(form.weights, 1.75),
  );
}
