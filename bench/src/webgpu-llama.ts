import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openCheckpoint } from "@latentkit/loaders/node";
import { type LanguageModel, loadModel, randomModel } from "@latentkit/models";
import { saveModel } from "@latentkit/models/node";
import type { Device } from "@latentkit/tensor";

/** The shape of a Llama with tied embeddings, for ours and for the peer. */
export interface LlamaShape {
  readonly layers: number;
  readonly dModel: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly dHead: number;
  readonly dMlp: number;
  readonly vocabulary: number;
  readonly contextSize: number;
}

/** A shape of half a billion parameters (494 million), and one for adapters that compute on the CPU. */
export function llamaShape(reduced: boolean): LlamaShape {
  return reduced
    ? {
        layers: 2,
        dModel: 64,
        heads: 4,
        kvHeads: 2,
        dHead: 16,
        dMlp: 128,
        vocabulary: 512,
        contextSize: 128,
      }
    : {
        layers: 24,
        dModel: 896,
        heads: 14,
        kvHeads: 2,
        dHead: 64,
        dMlp: 4864,
        vocabulary: 151_936,
        contextSize: 2048,
      };
}

/** Random weights in f32. The caller disposes the model. */
export function randomLlama(device: Device, shape: LlamaShape): LanguageModel {
  return randomModel({ device, seed: 0, config: { ...shape, tiedEmbeddings: true } });
}

/** For a row's case. */
export function describeShape(shape: LlamaShape): string {
  const { layers, dModel, heads, kvHeads, dHead, dMlp, vocabulary } = shape;
  return `random Llama, ${layers} x ${dModel}, heads ${heads}/${kvHeads} of ${dHead}, MLP ${dMlp}, vocabulary ${vocabulary}`;
}

/** The same weights, kept on the device in bf16, as a checkpoint in bf16 gives them. The caller disposes the model. */
export async function storedLlama(device: Device, shape: LlamaShape): Promise<LanguageModel> {
  const folder = await mkdtemp(join(tmpdir(), "latentkit-bench-"));
  try {
    using model = randomLlama(device, shape);
    await saveModel(model, folder, { dtype: "bf16" });
    const checkpoint = await openCheckpoint(folder, { tokenizer: false });
    try {
      return await loadModel(checkpoint, { device, weights: "stored" });
    } finally {
      await checkpoint.close();
    }
  } finally {
    await rm(folder, { recursive: true });
  }
}
