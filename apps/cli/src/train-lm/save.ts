import { writeFileAtomic } from "@latentkit/loaders/node";
import type { LanguageModel } from "@latentkit/models";
import { saveModel } from "@latentkit/models/node";
import { lossCurve } from "@latentkit/report";
import { planOf, type TrainLanguageModelResult } from "@latentkit/training";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { TrainLmConfig } from "./config.ts";
import { tokenizerFolder } from "./prepare.ts";

/** What {@link saveTrained} writes. */
export interface TrainedFiles {
  readonly model: string;
  readonly halfPrecision: string;
  readonly curve: string;
}

/** Writes the model in f32 and in f16, both with their tokenizer, the loss curve, and what the run was. */
export async function saveTrained(options: {
  readonly model: LanguageModel;
  readonly config: TrainLmConfig;
  readonly result: TrainLanguageModelResult;
  readonly out: string;
  readonly signal: AbortSignal;
}): Promise<TrainedFiles> {
  const { model, config, result, out, signal } = options;
  const files = {
    model: join(out, "model"),
    halfPrecision: join(out, "model-f16"),
    curve: join(out, "loss.svg"),
  };
  await saveWithTokenizer(model, config, files.model, { dtype: "f32", signal });
  await saveWithTokenizer(model, config, files.halfPrecision, { dtype: "f16", signal });
  const plan = planOf(config.training, result.tokens / result.steps / config.training.batch);
  const decayFrom = plan.decayStart < plan.steps ? plan.decayStart * plan.tokensPerStep : undefined;
  await writeFileAtomic(files.curve, lossCurve({ points: result.points, decayFrom }));
  await writeFileAtomic(
    join(out, "training.json"),
    `${JSON.stringify({ schemaVersion: 1, config, result }, null, 2)}\n`,
  );
  return files;
}

/** A model folder with the files of the tokenizer that it was trained with. */
export async function saveWithTokenizer(
  model: LanguageModel,
  config: TrainLmConfig,
  target: string,
  { dtype, signal }: { readonly dtype: "f32" | "f16"; readonly signal: AbortSignal },
): Promise<void> {
  const folder = tokenizerFolder(config);
  const text = async (name: string): Promise<string | undefined> =>
    existsSync(join(folder, name)) ? readFile(join(folder, name), "utf8") : undefined;
  const tokenizerJson = await text("tokenizer.json");
  const tokenizerConfig = await text("tokenizer_config.json");
  await saveModel(model, target, { dtype, tokenizerJson, tokenizerConfig, signal });
  const template = await text("chat_template.jinja");
  if (template !== undefined)
    await writeFileAtomic(join(target, "chat_template.jinja"), template, { signal });
}
