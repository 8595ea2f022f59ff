import { MismatchError } from "@latentkit/core";
import { writeFileAtomic, writeSafetensors } from "@latentkit/loaders/node";
import type { Tensor } from "@latentkit/tensor";
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { modelConfigJson, modelConfigText } from "../config-json.ts";
import type { ModelConfig } from "../config.ts";
import { families } from "../families/index.ts";
import { LanguageModel } from "../language-model.ts";

/** Weights that are to be saved without a {@link LanguageModel} around them. */
export interface ModelParts {
  readonly config: ModelConfig;
  /** f32, by Hugging Face name, without a tied copy. On a device, or on the host. */
  readonly parameters: Readonly<Record<string, Tensor | Float32Array>>;
}

/** How {@link saveModel} writes. */
export interface SaveModelOptions {
  /** f32 by default. Norms and matrices alike. */
  readonly dtype?: "f32" | "f16" | "bf16" | undefined;
  /** The parsed `tokenizer.json`, or its text; none is written by default. */
  readonly tokenizerJson?: unknown;
  /** The parsed `tokenizer_config.json`, or its text. */
  readonly tokenizerConfig?: unknown;
  readonly bosToken?: number | null | undefined;
  readonly padToken?: number | null | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Writes a folder that `openCheckpoint` and Hugging Face transformers read: `model.safetensors`, tokenizer files,
 * `generation_config.json`, and `config.json` last, so that a folder that was not finished is not mistaken for a model.
 *
 * @throws MismatchError `WEIGHTS_TO_SAVE` for parts that lack a tensor; ConfigError `TENSOR_TO_WRITE` for one of another size;
 *   IoError; AbortedError
 */
export async function saveModel(
  model: LanguageModel | ModelParts,
  folder: string,
  options: SaveModelOptions = {},
): Promise<void> {
  const { dtype = "f32", signal } = options;
  const { config } = model;
  const specs = families[config.architecture]
    .parameters(config)
    .filter((spec) => spec.sameAs === undefined);
  const tensors = [];
  for (const { name, shape } of specs)
    tensors.push({ name, dtype, shape, bytes: await valuesOf(model, name) });
  const bosToken = options.bosToken ?? tokenOf(model, "bos");
  const padToken = options.padToken ?? tokenOf(model, "pad");
  await mkdir(folder, { recursive: true });
  await rm(join(folder, "config.json"), { force: true });
  const write = (name: string, content: unknown) =>
    writeFileAtomic(join(folder, name), jsonText(content), { signal });
  await writeSafetensors(join(folder, "model.safetensors"), tensors, { format: "pt" }, { signal });
  if (options.tokenizerJson !== undefined) await write("tokenizer.json", options.tokenizerJson);
  if (options.tokenizerConfig !== undefined)
    await write("tokenizer_config.json", options.tokenizerConfig);
  const json = modelConfigJson(config, { dtype, bosToken, padToken });
  await write("generation_config.json", {
    bos_token_id: json["bos_token_id"],
    eos_token_id: json["eos_token_id"],
    pad_token_id: json["pad_token_id"],
  });
  await write("config.json", modelConfigText(json));
}

async function valuesOf(model: LanguageModel | ModelParts, name: string): Promise<Float32Array> {
  if (!(model instanceof LanguageModel)) {
    const values = model.parameters[name];
    if (values === undefined) {
      throw new MismatchError({
        code: "WEIGHTS_TO_SAVE",
        message: `the parameters lack "${name}", which the configuration asks for`,
        fix: "give a tensor for each parameter of the model, under its Hugging Face name",
        where: name,
      });
    }
    return values instanceof Float32Array ? values : await values.floats();
  }
  const dense = model.denseWeight(name);
  try {
    return await dense.floats();
  } finally {
    if (dense !== model.weight(name)) dense.dispose();
  }
}

function tokenOf(model: LanguageModel | ModelParts, name: "bos" | "pad"): number | null {
  return model instanceof LanguageModel ? (model.tokenizer?.specialTokens[name] ?? null) : null;
}

function jsonText(content: unknown): string {
  return typeof content === "string" ? content : `${JSON.stringify(content, null, 2)}\n`;
}
