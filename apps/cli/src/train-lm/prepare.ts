import { ConfigError } from "@latentkit/core";
import { type Tokenizer, tokenizerFromJson } from "@latentkit/loaders";
import { openCheckpoint, readJson } from "@latentkit/loaders/node";
import { type LanguageModel, loadModel, randomModel } from "@latentkit/models";
import type { Device } from "@latentkit/tensor";
import {
  type ContextStream,
  type DocumentStream,
  tokenContexts,
  type TrainingContext,
} from "@latentkit/training";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import type { TrainLmConfig } from "./config.ts";
import { openDocuments } from "./documents.ts";

/** What a run is made of; the model is the caller's. */
export interface PreparedTraining {
  readonly model: LanguageModel;
  readonly contexts: ContextStream;
  readonly validation: readonly TrainingContext[];
}

/** Makes model and data as the configuration says. */
export async function prepareTraining(
  config: TrainLmConfig,
  device: Device,
  signal: AbortSignal,
): Promise<PreparedTraining> {
  const tokenizer = await openTokenizer(tokenizerFolder(config));
  const { training, held } = await openDocuments(config);
  const model = await makeModel(config, tokenizer, device, signal);
  try {
    const contextsOf = (documents: DocumentStream): ContextStream =>
      tokenContexts({
        tokenizer,
        documents,
        contextSize: config.contextSize ?? model.config.contextSize,
        targets: config.targets,
        ...(config.textStart === undefined
          ? {}
          : { textStart: tokenOf(tokenizer, config.textStart) }),
      });
    const contexts = contextsOf(training);
    const validation: TrainingContext[] = [];
    if (held !== null) {
      const stream = contextsOf(held);
      while (validation.length < config.validationContexts) validation.push(await stream.next());
    }
    return { model, contexts, validation };
  } catch (error) {
    model.dispose();
    throw error;
  }
}

/** The folder whose tokenizer is used, and goes along with the model. */
export function tokenizerFolder({ tokenizer, model }: TrainLmConfig): string {
  if (tokenizer !== undefined) return tokenizer;
  if ("from" in model) return model.from;
  throw new ConfigError({
    code: "TOKENIZER_MISSING",
    message: "a new model was asked for without a tokenizer",
    fix: 'give "tokenizer", a folder with tokenizer.json',
  });
}

async function makeModel(
  { model, training, endTokens }: TrainLmConfig,
  tokenizer: Tokenizer,
  device: Device,
  signal: AbortSignal,
): Promise<LanguageModel> {
  if ("from" in model) {
    const checkpoint = await openCheckpoint(model.from);
    try {
      return await loadModel(checkpoint, { device, weights: "f32", signal });
    } finally {
      await checkpoint.close();
    }
  }
  const { eos } = tokenizer.specialTokens;
  const ends = endTokens?.map((text) => tokenOf(tokenizer, text)) ?? (eos === null ? [] : [eos]);
  const { vocabulary = tokenizer.vocabularySize, ...sizes } = model;
  return randomModel({
    device,
    seed: training.seed,
    tokenizer,
    initialisation: "training",
    config: { ...sizes, vocabulary, endTokens: ends },
  });
}

async function openTokenizer(folder: string): Promise<Tokenizer> {
  const anObject = z.looseObject({});
  const definition = await readJson(join(folder, "tokenizer.json"), anObject);
  const settingsFile = join(folder, "tokenizer_config.json");
  const settings = existsSync(settingsFile) ? await readJson(settingsFile, anObject) : {};
  const templateFile = join(folder, "chat_template.jinja");
  if (!existsSync(templateFile)) return tokenizerFromJson(definition, settings);
  const template = await readFile(templateFile, "utf8");
  return tokenizerFromJson(definition, { ...settings, chat_template: template });
}

function tokenOf(tokenizer: Tokenizer, text: string): number {
  const id = tokenizer.tokenId(text);
  if (id !== null) return id;
  throw new ConfigError({
    code: "TOKEN_UNKNOWN",
    message: `the tokenizer has no token "${text}"`,
    fix: "give the exact text of a token of its vocabulary",
  });
}
