import { FormatError } from "@latentkit/core";
import { readdir, readFile } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { z } from "zod";
import type { Checkpoint } from "../checkpoint.ts";
import { mergeStores } from "../tensor-store.ts";
import type { TensorStore } from "../tensor-store.ts";
import { tokenizerFromJson } from "../tokenizer/tokenizer-from-json.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import { asIoError } from "./io-errors.ts";
import type { OpenCheckpointOptions } from "./open-checkpoint.ts";
import { openSafetensorsFile } from "./open-safetensors-file.ts";
import { isPickle, pickleError } from "./pickle.ts";
import { readJson } from "./read-json.ts";
import { rememberedHash } from "./weights-hash.ts";

const anObject = z.looseObject({});
const indexSchema = z.looseObject({
  weight_map: z.record(
    z.string(),
    z
      .string()
      .regex(/^[^/\\]+\.safetensors$/, "must be the name of a safetensors file in the folder"),
  ),
});

/** Opens a folder as Hugging Face's `save_pretrained` writes it. */
export async function openFolder(
  folder: string,
  options: OpenCheckpointOptions,
): Promise<Checkpoint> {
  const files = await readdir(folder).catch((error: unknown) => {
    throw asIoError(error, folder);
  });
  if (!files.includes("config.json")) throw noConfig(folder, files);
  const config = await readJson(join(folder, "config.json"), anObject);
  const tokenizer =
    options.tokenizer === false || !files.includes("tokenizer.json")
      ? null
      : await readTokenizer(folder, files);
  const tensors = await openWeights(folder, files, options.signal);
  return {
    name: basename(resolve(folder)),
    format: "safetensors",
    config,
    tensors,
    tokenizer,
    weightsHash: rememberedHash(tensors),
    close: () => tensors.close(),
  };
}

async function readTokenizer(folder: string, files: readonly string[]): Promise<Tokenizer> {
  const definition = await readJson(join(folder, "tokenizer.json"), anObject);
  const settings = files.includes("tokenizer_config.json")
    ? await readJson(join(folder, "tokenizer_config.json"), anObject)
    : {};
  // Newer checkpoints keep the template in a file of its own, which then counts.
  if (!files.includes("chat_template.jinja")) return tokenizerFromJson(definition, settings);
  const template = await readFile(join(folder, "chat_template.jinja"), "utf8");
  return tokenizerFromJson(definition, { ...settings, chat_template: template });
}

async function openWeights(
  folder: string,
  files: readonly string[],
  signal: AbortSignal | undefined,
): Promise<TensorStore> {
  if (files.includes("model.safetensors"))
    return openSafetensorsFile(join(folder, "model.safetensors"), signal);
  if (files.includes("model.safetensors.index.json")) return openShards(folder, files, signal);
  const others = files.filter((file) => file.endsWith(".safetensors"));
  const [only] = others;
  if (only !== undefined && others.length === 1)
    return openSafetensorsFile(join(folder, only), signal);
  const pickle = files.find(isPickle);
  if (pickle !== undefined && only === undefined) throw pickleError(join(folder, pickle));
  throw new FormatError({
    code: "CHECKPOINT_NO_WEIGHTS",
    message: `there is no model.safetensors and no model.safetensors.index.json${others.length > 1 ? `, but ${others.join(", ")}` : ""}`,
    fix:
      others.length > 1
        ? "get the index file that lists these shards"
        : "get the safetensors files of this model",
    where: folder,
  });
}

async function openShards(
  folder: string,
  files: readonly string[],
  signal: AbortSignal | undefined,
): Promise<TensorStore> {
  const where = join(folder, "model.safetensors.index.json");
  const { weight_map } = await readJson(where, indexSchema);
  const shards = [...new Set(Object.values(weight_map))].sort();
  const missing = shards.filter((shard) => !files.includes(shard));
  if (missing.length > 0) {
    throw new FormatError({
      code: "SHARD_MISSING",
      message: `the index lists ${shards.length} shards, but ${missing.join(", ")} ${missing.length === 1 ? "is" : "are"} not in the folder`,
      fix: "download the missing files into the folder",
      where,
    });
  }
  const opened: TensorStore[] = [];
  try {
    for (const shard of shards) opened.push(await openSafetensorsFile(join(folder, shard), signal));
    const byShard = new Map(shards.map((shard, index) => [shard, opened[index]] as const));
    for (const [tensor, shard] of Object.entries(weight_map)) {
      if (byShard.get(shard)?.has(tensor) !== true) throw indexError(tensor, shard, where);
    }
    return mergeStores(opened, folder);
  } catch (error) {
    await Promise.all(opened.map((store) => store.close()));
    throw error;
  }
}

function indexError(tensor: string, shard: string, where: string): FormatError {
  return new FormatError({
    code: "SHARD_INDEX",
    message: `the index says that "${tensor}" is in ${shard}, which does not have it`,
    fix: "index and shards belong to different versions of the model: download all of them again",
    where,
  });
}

function noConfig(folder: string, files: readonly string[]): FormatError {
  const gguf = files.find((file) => file.toLowerCase().endsWith(".gguf"));
  return new FormatError({
    code: "CHECKPOINT_NO_CONFIG",
    message: "the folder has no config.json",
    fix:
      gguf === undefined
        ? "give the folder that holds config.json and the safetensors files"
        : `to open the GGUF file in it, give ${join(folder, gguf)}`,
    where: folder,
  });
}
