import { FormatError } from "@latentkit/core";
import { open, readdir } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import type { ByteSource } from "../byte-source.ts";
import { fetchBytes } from "../hub/fetch-bytes.ts";
import { decodedPart, HttpFault, shownUrl } from "../hub/http-fault.ts";
import type { HttpOptions } from "../hub/http-request.ts";
import { openUrl } from "../hub/http-source.ts";
import { withoutFaults } from "../hub/retry.ts";
import { openFile } from "./file-source.ts";
import { asIoError } from "./io-errors.ts";

/** The files of a checkpoint, wherever they lie. */
export interface CheckpointFiles {
  /** What the checkpoint is called. */
  readonly name: string;
  /** The folder, for messages. */
  readonly where: string;
  /** Names of the files that are there. */
  readonly names: readonly string[];
  /** Whether `names` are all files, or only those that were asked for. */
  readonly listed: boolean;
  /** Path or address of a file, for messages. */
  locate(name: string): string;
  /** A small file as a whole. Throws above `maximumBytes`. */
  bytes(name: string, maximumBytes: number): Promise<Uint8Array>;
  /** A large file, to be read in parts. */
  source(name: string): Promise<ByteSource>;
}

/** A folder on disk. Throws `IoError` where it cannot be listed. */
export async function localFiles(
  folder: string,
  name: string = basename(resolve(folder)),
): Promise<CheckpointFiles> {
  const names = await readdir(folder).catch((error: unknown) => {
    throw asIoError(error, folder);
  });
  const locate = (file: string): string => join(folder, file);
  return {
    name,
    where: folder,
    names,
    listed: true,
    locate,
    bytes: (file, maximumBytes) => readSmall(locate(file), maximumBytes),
    source: (file) => openFile(locate(file)),
  };
}

async function readSmall(path: string, maximumBytes: number): Promise<Uint8Array> {
  try {
    const handle = await open(path, "r");
    try {
      const { size } = await handle.stat();
      if (size > maximumBytes) {
        throw new FormatError({
          code: "FILE_TOO_LARGE",
          message: `the file has ${size} bytes; ${maximumBytes} are the most that such a file may have`,
          fix: "check that this is the model you mean: files of this kind are small",
          where: path,
        });
      }
      return await handle.readFile();
    } finally {
      await handle.close();
    }
  } catch (error) {
    throw asIoError(error, path);
  }
}

const small = ["config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"];
const weights = ["model.safetensors", "model.safetensors.index.json"];

/**
 * A folder of a web server, which cannot be listed: the files that a checkpoint may have are asked for one by one.
 *
 * @param folder address that ends in a slash
 * @param only the file to take the weights from, with the address to read it at, instead of those that a checkpoint has
 */
export async function remoteFiles(
  folder: string,
  options: HttpOptions,
  only?: { readonly name: string; readonly url: string },
): Promise<CheckpointFiles> {
  const known = new Map<string, Uint8Array>();
  const sources = new Map<string, ByteSource>();
  const locate = (file: string): string => new URL(encodeURIComponent(file), folder).href;
  for (const file of small) {
    const found = await orMissing(() => fetchBytes(locate(file), limitOf(file), options));
    if (found !== null) known.set(file, found);
    // Without a configuration this is no checkpoint, and nothing else is worth asking for.
    if (file === "config.json" && found === null) break;
  }
  for (const file of known.size === 0 ? [] : only === undefined ? weights : [only.name]) {
    if (sources.size > 0) break;
    const found = await orMissing(() => openUrl(only?.url ?? locate(file), options));
    if (found !== null) sources.set(file, found);
  }
  return {
    name: decodedPart(new URL(folder).pathname.split("/").at(-2) ?? "") || shownUrl(folder),
    where: shownUrl(folder),
    names: [...known.keys(), ...sources.keys()],
    listed: false,
    locate,
    async bytes(file, maximumBytes) {
      const held = known.get(file);
      return held ?? withoutFaults(() => fetchBytes(locate(file), maximumBytes, options));
    },
    source: async (file) => sources.get(file) ?? openUrl(locate(file), options),
  };
}

/** What the call gives, or null where the server says that there is no such file. */
async function orMissing<T>(call: () => Promise<T>): Promise<T | null> {
  try {
    return await call();
  } catch (error) {
    if (error instanceof HttpFault) {
      if (error.details.status === 404) return null;
      throw error.details.error;
    }
    if (error instanceof Error && "code" in error && error.code === "HTTP_MISSING") return null;
    throw error;
  }
}

/** The most bytes that are taken for a file of this name: what would be larger was not made by any tool we know. */
export function limitOf(file: string): number {
  if (file === "tokenizer.json") return 512 * 1024 * 1024;
  if (file.endsWith(".index.json")) return 64 * 1024 * 1024;
  return 16 * 1024 * 1024;
}
