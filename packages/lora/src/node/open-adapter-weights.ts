import { ConfigError } from "@latentkit/core";
import type { TensorStore } from "@latentkit/loaders";
import { openSafetensorsFile } from "@latentkit/loaders/node";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { files } from "./files.ts";

/**
 * Opens the weights of an adapter's folder. The caller closes them.
 *
 * @throws ConfigError `ADAPTER_UNSUPPORTED` where there is only a pickle; IoError `FILE_MISSING`; FormatError as `openSafetensorsFile`
 */
export async function openAdapterWeights(
  folder: string,
  signal?: AbortSignal,
): Promise<TensorStore> {
  const path = join(folder, files.weights);
  if (!existsSync(path) && existsSync(join(folder, files.pickle))) {
    throw new ConfigError({
      code: "ADAPTER_UNSUPPORTED",
      message: `the adapter has only ${files.pickle}, a pickle, and no pickle is executed; supported is ${files.weights}`,
      fix: "load it with PEFT and save it again: save_pretrained writes safetensors",
      where: folder,
    });
  }
  return openSafetensorsFile(path, signal);
}
