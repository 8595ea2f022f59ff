import { FormatError } from "@latentkit/core";
import { stat } from "node:fs/promises";
import { basename, extname } from "node:path";
import type { Checkpoint } from "../checkpoint.ts";
import { llamaFromGguf } from "../gguf/llama.ts";
import { openGguf } from "../gguf/open-gguf.ts";
import { tokenizerFromGguf } from "../tokenizer/tokenizer-from-gguf.ts";
import { isPickle, pickleError } from "./pickle.ts";
import { openFile } from "./file-source.ts";
import { asIoError } from "./io-errors.ts";
import { openFolder } from "./open-folder.ts";
import { rememberedHash } from "./weights-hash.ts";

/** How a checkpoint is opened. */
export interface OpenCheckpointOptions {
  readonly signal?: AbortSignal | undefined;
  /** Whether to build the tokenizer too. On unless told otherwise. */
  readonly tokenizer?: boolean | undefined;
}

/**
 * Opens a model on disk: a folder with `config.json`, safetensors (`model.safetensors`, or the shards that
 * `model.safetensors.index.json` lists) and `tokenizer.json`, or one `.gguf` file of the Llama family. Weights are read when
 * asked for. Pickled weights (`.bin`, `.pt`) are refused: reading them can run any program that their author put in.
 *
 * Throws {@link FormatError} where something is missing or damaged, and `IoError` where the file system refuses.
 */
export async function openCheckpoint(
  path: string,
  options: OpenCheckpointOptions = {},
): Promise<Checkpoint> {
  const stats = await stat(path).catch((error: unknown) => {
    throw asIoError(error, path);
  });
  if (stats.isDirectory()) return openFolder(path, options);
  if (isPickle(path)) throw pickleError(path);
  if (extname(path).toLowerCase() === ".gguf") return openGgufCheckpoint(path, options);
  throw new FormatError({
    code: "CHECKPOINT_UNKNOWN",
    message: `"${basename(path)}" is neither a folder nor a .gguf file`,
    fix: "give the folder that holds config.json and the safetensors files, or a .gguf file",
    where: path,
  });
}

async function openGgufCheckpoint(
  path: string,
  options: OpenCheckpointOptions,
): Promise<Checkpoint> {
  const source = await openFile(path);
  try {
    const store = await openGguf(source, options.signal);
    const { config, tensors } = llamaFromGguf(store);
    return {
      name: basename(path, extname(path)),
      format: "gguf",
      config,
      tensors,
      tokenizer: options.tokenizer === false ? null : tokenizerFromGguf(store.metadata, path),
      weightsHash: rememberedHash(tensors),
      close: () => source.close(),
    };
  } catch (error) {
    await source.close();
    throw error;
  }
}
