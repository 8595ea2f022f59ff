import type { LanguageModel } from "@latentkit/models";
import type { Sae } from "@latentkit/sae";
import { loadTiny as loadFrom, type TinyOptions } from "../load-tiny.ts";
import { loadTinySae as loadSaeFrom, type TinySaeOptions } from "../load-tiny-sae.ts";
import { folderReader, tinyFolder } from "./folder.ts";

/** Where the data is read from. */
export interface TinyFolderOptions {
  /** A folder that is laid out as the packaged data is; that data unless told. */
  readonly folder?: string | undefined;
}

/**
 * The embedded language model from this package's own files; see the main entry's `loadTiny`. The caller disposes it.
 *
 * @throws ConfigError `TINY_VERSION`; IoError `TINY_MISSING`; FormatError `TINY_JSON`; what `loadModel` and `readPeftWeights` throw
 *
 * @example
 * using model = await loadTiny({ device: await openCpuDevice() });
 */
export async function loadTiny(options: TinyOptions & TinyFolderOptions): Promise<LanguageModel> {
  return loadFrom({ ...options, read: folderReader(options.folder ?? tinyFolder()) });
}

/**
 * The SAE of a layer from this package's own files; see the main entry's `loadTinySae`. The caller disposes it.
 *
 * @throws ConfigError `TINY_LAYER`; IoError `TINY_MISSING`; FormatError `TINY_JSON`; what `readSaeLensWeights` throws
 */
export async function loadTinySae(options: TinySaeOptions & TinyFolderOptions): Promise<Sae> {
  return loadSaeFrom({ ...options, read: folderReader(options.folder ?? tinyFolder()) });
}
