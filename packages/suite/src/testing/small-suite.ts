import { byteTokenizer } from "@latentkit/loaders";
import { type LanguageModel, randomModel } from "@latentkit/models";
import { createReferenceBackend, Device } from "@latentkit/tensor";
import type { SuiteDocuments } from "../documents.ts";
import { parseSuite, type Suite } from "../suite.ts";

/** A model of two layers of 12, on the reference backend. */
export function smallModel(seed = 3): LanguageModel {
  const device = new Device(createReferenceBackend());
  const config = { dModel: 12, heads: 2, kvHeads: 1, dHead: 4, dMlp: 16, contextSize: 16 };
  return randomModel({ device, seed, tokenizer: byteTokenizer(), config });
}

/** Documents of a few words, with the number of each. */
export function smallDocuments(identity: unknown = "numbered words"): SuiteDocuments {
  const words = ["cat", "mat", "dog", "log", "sat", "on", "the", "a"];
  return {
    identity,
    *open() {
      for (let index = 0; index < 60; index++) {
        const text = Array.from({ length: 9 }, (_, at) => words[(index * 7 + at * at) % 8]);
        yield { id: String(index), text: `${index} ${text.join(" ")}` };
      }
    },
  };
}

/** Every site of the model's two layers with two JumpReLU SAEs, and TopK at one of them. */
export function smallSuite(changes: Readonly<Record<string, unknown>> = {}): Suite {
  return parseSuite({
    schemaVersion: 1,
    name: "small",
    text: { files: ["words.txt"] },
    contextSize: 16,
    maxTokens: 1600,
    heldOut: 0.25,
    sites: ["res", "mlp", "att"],
    entries: [
      {
        recipe: "short-run",
        width: 24,
        sparsity: [0.001, 0.1],
        presentations: 2048,
        batchSize: 128,
      },
      {
        recipe: "topk",
        width: 24,
        k: [3],
        presentations: 2048,
        batchSize: 128,
        sites: ["res"],
        layers: [1],
      },
    ],
    spliceContexts: 8,
    ...changes,
  });
}

/** Changes to {@link smallSuite} that leave three SAEs at one site. */
export const onePlace: Readonly<Record<string, unknown>> = { sites: ["res"], layers: [1] };
