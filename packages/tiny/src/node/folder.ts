import { LatentkitError } from "@latentkit/core";
import { openFile } from "@latentkit/loaders/node";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { dataUrl } from "../data-url.ts";
import { missingFile } from "../fetch-tiny.ts";
import type { TinyReader } from "../reader.ts";
import { parseVersion, type TinyVersion } from "../version.ts";

/**
 * Path of the packaged data, or of one version's folder in it: `"base"` is a checkpoint as Hugging Face has them, `"instruct"` an
 * adapter as PEFT has them. Whether anything is there is not looked at.
 *
 * @throws ConfigError `TINY_VERSION`
 */
export function tinyFolder(version?: TinyVersion): string {
  const data = fileURLToPath(dataUrl);
  return version === undefined ? join(data) : join(data, parseVersion(version));
}

/** Opens files of a folder that is laid out as the data folder is. */
export function folderReader(folder: string): TinyReader {
  return async (name) => {
    const path = join(folder, name);
    return openFile(path).catch((error: unknown) => {
      if (LatentkitError.isInstance(error) && error.code === "FILE_MISSING")
        throw missingFile(name, path, error);
      throw error;
    });
  };
}
