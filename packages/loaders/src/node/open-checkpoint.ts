import { FormatError, type LongCallOptions } from "@latentkit/core";
import { stat } from "node:fs/promises";
import { basename, dirname, extname, join } from "node:path";
import type { ByteSource } from "../byte-source.ts";
import type { Checkpoint } from "../checkpoint.ts";
import { llamaFromGguf } from "../gguf/llama.ts";
import { openGguf } from "../gguf/open-gguf.ts";
import { checkedUrl } from "../hub/http-request.ts";
import { openUrl } from "../hub/http-source.ts";
import { decodedPart, shownUrl } from "../hub/http-fault.ts";
import { hubPage, type HubReference, parseHubReference } from "../hub/hub-reference.ts";
import { tokenizerFromGguf } from "../tokenizer/tokenizer-from-gguf.ts";
import { localFiles, remoteFiles } from "./checkpoint-files.ts";
import { downloadModel } from "./hub/open-hub.ts";
import { type RemoteOptions, remoteSettings } from "./hub/hub-options.ts";
import { isPickle, pickleError } from "./pickle.ts";
import { openFile } from "./file-source.ts";
import { asIoError } from "./io-errors.ts";
import { openFolder } from "./open-folder.ts";
import { rememberedHash } from "./weights-hash.ts";

/** How a checkpoint is opened. */
export interface OpenCheckpointOptions extends LongCallOptions {
  /** Whether to build the tokenizer too. On unless told otherwise. */
  readonly tokenizer?: boolean | undefined;
  /** How servers are reached, where the source is not on this machine. */
  readonly remote?: Omit<RemoteOptions, "signal" | "onProgress"> | undefined;
}

/**
 * Opens a model:
 *
 * - a folder with `config.json`, safetensors (`model.safetensors`, or the shards that `model.safetensors.index.json` lists) and
 *   `tokenizer.json`;
 * - one `.gguf` file of the Llama family, or one `.safetensors` file with `config.json` beside it;
 * - the `http(s)` address of any of these (a folder's ends in a slash), read by range requests: nothing is kept on disk;
 * - `org/name[@revision]` of the Hugging Face hub, or one GGUF file of it, `org/name/file.gguf[@revision]`: downloaded into the
 *   cache that Python's `huggingface_hub` has too. A file or folder of that name on this machine comes first.
 *
 * Weights are read when asked for. Pickled weights (`.bin`, `.pt`) are refused: reading them can run any program that their
 * author put in.
 *
 * Throws {@link FormatError} where something is missing or damaged, and `IoError` where the file system, the network or the hub
 * refuses.
 */
export async function openCheckpoint(
  source: string,
  options: OpenCheckpointOptions = {},
): Promise<Checkpoint> {
  if (isUrl(source)) return openRemote(source, options);
  let isFolder: boolean;
  try {
    isFolder = (await stat(source)).isDirectory();
  } catch (error) {
    const reference = isMissing(error) ? parseHubReference(source) : null;
    if (reference === null) throw asIoError(error, source);
    return openFromHub(reference, options);
  }
  return isFolder ? openFolder(await localFiles(source), options) : openPath(source, options);
}

/** Whether the text names something that is not on this machine: an `http(s)` address or a model of the hub. */
export function isRemoteSource(source: string): boolean {
  return isUrl(source) || parseHubReference(source) !== null;
}

function isUrl(source: string): boolean {
  return /^https?:\/\//i.test(source);
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ENOENT";
}

async function openPath(path: string, options: OpenCheckpointOptions): Promise<Checkpoint> {
  if (isPickle(path)) throw pickleError(path);
  const ending = extname(path).toLowerCase();
  if (ending === ".gguf") return openGgufCheckpoint(await openFile(path), path, options);
  if (ending === ".safetensors")
    return openFolder(await localFiles(dirname(path)), options, basename(path));
  throw unknownKind(basename(path), path);
}

async function openFromHub(
  reference: HubReference,
  options: OpenCheckpointOptions,
): Promise<Checkpoint> {
  const { signal, onProgress, remote, tokenizer = true } = options;
  const found = await downloadModel(reference, tokenizer, { ...remote, signal, onProgress });
  if (found.gguf === null)
    return openFolder(await localFiles(found.folder, reference.name), options);
  const path = join(found.folder, found.gguf);
  return openGgufCheckpoint(await openFile(path), path, options);
}

async function openRemote(url: string, options: OpenCheckpointOptions): Promise<Checkpoint> {
  const { signal, onProgress, remote } = options;
  const { settings, http } = await remoteSettings({ ...remote, signal, onProgress });
  const { href } = checkedUrl(url);
  const page = hubPage(href, settings.endpoint);
  if (page !== null) return openFromHub(page, options);
  const path = new URL(href).pathname;
  const file = decodedPart(path.split("/").at(-1) ?? "");
  const ending = extname(file).toLowerCase();
  if (isPickle(file)) throw pickleError(href);
  if (ending === ".gguf") return openGgufCheckpoint(await openUrl(href, http), file, options);
  if (ending === ".safetensors")
    return openFolder(
      await remoteFiles(new URL(".", href).href, http, { name: file, url: href }),
      options,
      file,
    );
  if (ending !== "" && !path.endsWith("/") && /^\.(?:json|onnx|h5|txt|md|zip|gz|tar)$/.test(ending))
    throw unknownKind(file, shownUrl(href));
  const folder = path.endsWith("/") ? href : `${new URL(path, href).href}/`;
  return openFolder(await remoteFiles(folder, http), options);
}

async function openGgufCheckpoint(
  source: ByteSource,
  path: string,
  options: OpenCheckpointOptions,
): Promise<Checkpoint> {
  try {
    const store = await openGguf(source, options.signal);
    const { config, tensors } = llamaFromGguf(store);
    return {
      name: basename(path, extname(path)),
      format: "gguf",
      config,
      tensors,
      tokenizer:
        options.tokenizer === false ? null : tokenizerFromGguf(store.metadata, source.name),
      weightsHash: rememberedHash(tensors),
      close: () => source.close(),
    };
  } catch (error) {
    await source.close();
    throw error;
  }
}

function unknownKind(name: string, where: string): FormatError {
  return new FormatError({
    code: "CHECKPOINT_UNKNOWN",
    message: `"${name}" is neither a folder nor a .gguf or .safetensors file`,
    fix: "give the folder that holds config.json and the safetensors files, or a .gguf file",
    where,
  });
}
