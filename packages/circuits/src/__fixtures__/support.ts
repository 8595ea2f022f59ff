// What the tests of this package share: small random models and SAEs.
import { logitDifference } from "@latentkit/analysis";
import { Random } from "@latentkit/core";
import { type LanguageModel, randomModel } from "@latentkit/models";
import { Sae } from "@latentkit/sae";
import { createReferenceBackend, Device } from "@latentkit/tensor";
import type { CircuitNode } from "../circuit-node.ts";
import type { RowMetric } from "../prompts.ts";

export function referenceDevice(): Device {
  return new Device(createReferenceBackend());
}

export const width = 12;

/** Two layers of 12 features over 20 tokens. */
export function smallModel(device: Device, seed: number): LanguageModel {
  return randomModel({
    device,
    seed,
    config: {
      layers: 2,
      dModel: width,
      heads: 2,
      kvHeads: 1,
      dHead: 6,
      dMlp: 8,
      vocabulary: 20,
      contextSize: 12,
    },
  });
}

/** An SAE of the model's width that misses a good part of what it reads. */
export function randomSae(
  device: Device,
  seed: number,
  architecture: "jumprelu" | "topk" = "jumprelu",
  dSae = 20,
): Sae {
  const random = new Random(seed);
  const draw = (length: number, deviation: number) =>
    random.fillNormal(new Float32Array(length), deviation);
  const weights = {
    encoderRows: draw(dSae * width, 0.5),
    decoder: draw(dSae * width, 0.3),
    encoderBias: draw(dSae, 0.1),
    decoderBias: draw(width, 0.1),
  };
  const sizes = { dIn: width, dSae };
  return architecture === "topk"
    ? Sae.fromWeights(device, { architecture, ...sizes, k: 5 }, { ...weights, threshold: null })
    : Sae.fromWeights(
        device,
        { architecture, ...sizes },
        { ...weights, threshold: new Float32Array(dSae).fill(0.05) },
      );
}

export const clean: readonly (readonly number[])[] = [
  [3, 1, 4, 1, 5],
  [9, 2, 6, 5, 3],
];
/** They differ from the clean ones at position 1. */
export const corrupt: readonly (readonly number[])[] = [
  [3, 8, 4, 1, 5],
  [9, 7, 6, 5, 3],
];
export const metric: RowMetric = logitDifference({
  target: [2, 7],
  contrast: [1, 8],
  reduction: "none",
});

/** All nodes of a site, of 5 positions. */
export function allNodes(site: string, latents: number, errors: boolean): CircuitNode[] {
  return Array.from({ length: 5 }, (_, position) => [
    ...Array.from({ length: latents }, (__, latent) => ({ site, latent, position })),
    ...(errors ? [{ site, latent: null, position }] : []),
  ]).flat();
}

export function sum(values: Iterable<number>): number {
  return [...values].reduce((total, value) => total + value, 0);
}
