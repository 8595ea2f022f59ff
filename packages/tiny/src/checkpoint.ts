import { FormatError, throwIfAborted } from "@latentkit/core";
import {
  type Checkpoint,
  openSafetensors,
  Sha256,
  type TensorStore,
  tokenizerFromJson,
} from "@latentkit/loaders";
import { z } from "zod";
import { readJsonFile, type TinyReader } from "./reader.ts";

const anObject = z.record(z.string(), z.unknown());

/** The base model's folder as a checkpoint, from any reader. Throws FormatError `TINY_JSON` and what safetensors and tokenizers throw. */
export async function openBase(read: TinyReader, signal?: AbortSignal): Promise<Checkpoint> {
  const config = await readObject(read, "base/config.json", signal);
  const tokenizer = tokenizerFromJson(
    await readObject(read, "base/tokenizer.json", signal),
    await readObject(read, "base/tokenizer_config.json", signal),
  );
  const tensors = await openTensors(read, "base/model.safetensors", signal);
  return {
    name: "tiny",
    format: "safetensors",
    config,
    tensors,
    tokenizer,
    weightsHash: (givenSignal) => hashOf(tensors, givenSignal),
    close: () => tensors.close(),
  };
}

/** A safetensors file; the source is closed if it cannot be opened as one, and with the store otherwise. */
export async function openTensors(
  read: TinyReader,
  name: string,
  signal?: AbortSignal,
): Promise<TensorStore> {
  throwIfAborted(signal);
  const source = await read(name, signal);
  try {
    return await openSafetensors(source, signal);
  } catch (error) {
    await source.close();
    throw error;
  }
}

async function readObject(
  read: TinyReader,
  name: string,
  signal?: AbortSignal,
): Promise<Readonly<Record<string, unknown>>> {
  const parsed = anObject.safeParse(await readJsonFile(read, name, signal));
  if (parsed.success) return parsed.data;
  throw new FormatError({
    code: "TINY_JSON",
    message: `${name} holds no JSON object`,
    fix: "the data of @latentkit/tiny is damaged: install the package again",
    where: name,
    cause: parsed.error,
  });
}

/** What `openCheckpoint` of @latentkit/loaders/node computes, so that artefacts of either know the other's model. */
async function hashOf(tensors: TensorStore, signal?: AbortSignal): Promise<string> {
  const hash = new Sha256();
  for (const name of tensors.names()) {
    throwIfAborted(signal);
    const { format, shape } = tensors.info(name);
    hash.update(`${JSON.stringify([name, format, shape])}\n`);
    hash.update(await tensors.readBytes(name, { signal }));
  }
  return hash.hex();
}
