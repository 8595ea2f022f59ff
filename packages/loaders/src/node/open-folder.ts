import { FormatError } from "@latentkit/core";
import { extname } from "node:path";
import { z } from "zod";
import type { Checkpoint } from "../checkpoint.ts";
import { openSafetensors } from "../safetensors/open-safetensors.ts";
import { mergeStores } from "../tensor-store.ts";
import type { TensorStore } from "../tensor-store.ts";
import { tokenizerFromJson } from "../tokenizer/tokenizer-from-json.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import { limitOf } from "./checkpoint-files.ts";
import type { CheckpointFiles } from "./checkpoint-files.ts";
import type { OpenCheckpointOptions } from "./open-checkpoint.ts";
import { isPickle, pickleError } from "./pickle.ts";
import { parseJson } from "./read-json.ts";
import { rememberedHash } from "./weights-hash.ts";

const anObject = z.looseObject({});

/** `model.safetensors.index.json`: which shard holds which tensor. Shards lie beside the index, nowhere else. */
export const indexSchema: z.ZodType<{ readonly weight_map: Readonly<Record<string, string>> }> =
  z.looseObject({
    weight_map: z.record(
      z.string(),
      z
        .string()
        .regex(/^[^/\\\0]+\.safetensors$/, "must be the name of a safetensors file in the folder"),
    ),
  });

/**
 * Opens a folder as Hugging Face's `save_pretrained` writes it.
 *
 * @param weights the safetensors file to take, instead of the one that the folder's names lead to
 */
export async function openFolder(
  files: CheckpointFiles,
  options: OpenCheckpointOptions,
  weights?: string,
): Promise<Checkpoint> {
  const { names } = files;
  if (!names.includes("config.json")) throw noConfig(files, weights);
  const config = await readSmallJson(files, "config.json", anObject);
  const tokenizer =
    options.tokenizer === false || !names.includes("tokenizer.json")
      ? null
      : await readTokenizer(files);
  const tensors =
    weights === undefined
      ? await openWeights(files, options.signal)
      : await openOne(files, weights, options.signal);
  return {
    name:
      weights === undefined || weights === "model.safetensors"
        ? files.name
        : weights.slice(0, -extname(weights).length),
    format: "safetensors",
    config,
    tensors,
    tokenizer,
    weightsHash: rememberedHash(tensors),
    close: () => tensors.close(),
  };
}

async function readSmallJson<T>(
  files: CheckpointFiles,
  name: string,
  schema: z.ZodType<T>,
): Promise<T> {
  return parseJson(await files.bytes(name, limitOf(name)), files.locate(name), schema);
}

async function readTokenizer(files: CheckpointFiles): Promise<Tokenizer> {
  const definition = await readSmallJson(files, "tokenizer.json", anObject);
  const settings = files.names.includes("tokenizer_config.json")
    ? await readSmallJson(files, "tokenizer_config.json", anObject)
    : {};
  // Newer checkpoints keep the template in a file of its own, which then counts.
  if (!files.names.includes("chat_template.jinja")) return tokenizerFromJson(definition, settings);
  const template = await files.bytes("chat_template.jinja", limitOf("chat_template.jinja"));
  return tokenizerFromJson(definition, {
    ...settings,
    chat_template: new TextDecoder().decode(template),
  });
}

async function openWeights(
  files: CheckpointFiles,
  signal: AbortSignal | undefined,
): Promise<TensorStore> {
  const { names } = files;
  if (names.includes("model.safetensors")) return openOne(files, "model.safetensors", signal);
  if (names.includes("model.safetensors.index.json")) return openShards(files, signal);
  const others = names.filter((file) => file.endsWith(".safetensors"));
  const [only] = others;
  if (only !== undefined && others.length === 1) return openOne(files, only, signal);
  const pickle = names.find(isPickle);
  if (pickle !== undefined && only === undefined) throw pickleError(files.locate(pickle));
  throw new FormatError({
    code: "CHECKPOINT_NO_WEIGHTS",
    message: `there is no model.safetensors and no model.safetensors.index.json${others.length > 1 ? `, but ${others.join(", ")}` : ""}`,
    fix:
      others.length > 1
        ? "get the index file that lists these shards"
        : "get the safetensors files of this model",
    where: files.where,
  });
}

async function openOne(
  files: CheckpointFiles,
  name: string,
  signal: AbortSignal | undefined,
): Promise<TensorStore> {
  const source = await files.source(name);
  try {
    return await openSafetensors(source, signal);
  } catch (error) {
    await source.close();
    throw error;
  }
}

async function openShards(
  files: CheckpointFiles,
  signal: AbortSignal | undefined,
): Promise<TensorStore> {
  const where = files.locate("model.safetensors.index.json");
  const { weight_map } = await readSmallJson(files, "model.safetensors.index.json", indexSchema);
  const shards = [...new Set(Object.values(weight_map))].sort();
  const missing = files.listed ? shards.filter((shard) => !files.names.includes(shard)) : [];
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
    for (const shard of shards) opened.push(await openOne(files, shard, signal));
    const byShard = new Map(shards.map((shard, index) => [shard, opened[index]] as const));
    for (const [tensor, shard] of Object.entries(weight_map)) {
      if (byShard.get(shard)?.has(tensor) !== true) throw indexError(tensor, shard, where);
    }
    return mergeStores(opened, files.where);
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

function noConfig(files: CheckpointFiles, weights: string | undefined): FormatError {
  const gguf = files.names.find((file) => file.toLowerCase().endsWith(".gguf"));
  return new FormatError({
    code: "CHECKPOINT_NO_CONFIG",
    message:
      weights === undefined
        ? "the folder has no config.json"
        : `there is no config.json beside ${weights}, and a safetensors file has weights only`,
    fix:
      gguf === undefined
        ? "give the folder that holds config.json and the safetensors files"
        : `to open the GGUF file in it, give ${files.locate(gguf)}`,
    where: files.where,
  });
}
