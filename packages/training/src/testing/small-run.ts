import { Random } from "@latentkit/core";
import { byteTokenizer } from "@latentkit/loaders";
import { type LanguageModel, randomModel } from "@latentkit/models";
import type { Device } from "@latentkit/tensor";
import type { TrainingConfigInput } from "../config.ts";
import { type ContextStream, tokenContexts, type TrainingContext } from "../contexts.ts";
import { documentList } from "../documents.ts";

/** What a test trains: seconds on the reference device. */
export interface SmallRun {
  readonly model: LanguageModel;
  readonly contexts: ContextStream;
  readonly validation: readonly TrainingContext[];
  readonly config: TrainingConfigInput;
}

export const contextSize = 12;
export const tokensPerStep: number = 4 * contextSize;

/** A run of so many steps that warms up, is stable, decays and averages. The model is the caller's. */
export async function smallRun(
  device: Device,
  steps: number,
  overrides: Partial<TrainingConfigInput> = {},
): Promise<SmallRun> {
  const tokenizer = byteTokenizer();
  const stream = (seed: number): ContextStream =>
    tokenContexts({
      tokenizer,
      documents: documentList(sentences(seed, 9), { seed }),
      contextSize,
      textStart: 0,
    });
  const held = stream(99);
  return {
    model: smallModel(device),
    contexts: stream(3),
    validation: [await held.next(), await held.next(), await held.next()],
    config: {
      tokens: steps * tokensPerStep,
      batch: 4,
      microBatch: 2,
      learningRate: 0.01,
      warmUpSteps: 3,
      decayShare: 0.4,
      averageShare: 0.3,
      averageEvery: 2,
      logEvery: 2,
      validateEvery: 3 * tokensPerStep,
      zLoss: 1e-4,
      checkpointTokens: tokensPerStep,
      ...overrides,
    },
  };
}

/** A Llama of a few thousand weights over bytes. */
export function smallModel(device: Device): LanguageModel {
  return randomModel({
    device,
    seed: 1,
    initialisation: "training",
    config: {
      layers: 2,
      dModel: 8,
      heads: 2,
      kvHeads: 1,
      dHead: 4,
      dMlp: 12,
      vocabulary: 257,
      contextSize,
    },
  });
}

/** Documents of a few words of a small vocabulary. */
export function sentences(seed: number, count: number): { text: string }[] {
  const words = ["the", "cat", "sat", "on", "a", "mat", "and", "ate", "rice"];
  const random = new Random(seed);
  return Array.from({ length: count }, () => ({
    text: Array.from(
      { length: 1 + random.integer(8) },
      () => words[random.integer(words.length)] ?? "",
    ).join(" "),
  }));
}
