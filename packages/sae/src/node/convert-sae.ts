import { ConfigError, type LongCallOptions } from "@latentkit/core";
import { didYouMean } from "@latentkit/loaders";
import { writeFileAtomic } from "@latentkit/loaders/node";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { gemmaScopeFile, gemmaScopeNpz } from "../formats/gemma-scope.ts";
import type { SaeDType } from "../formats/saelens-weights.ts";
import type { Sae } from "../sae.ts";
import { files } from "./files.ts";
import { saveSae } from "./save-sae.ts";

/** The formats that are written. `latentkit` and `saelens` are the same files: ours are SAELens's. */
export const writtenFormats = ["latentkit", "saelens", "gemma-scope"] as const;

/** One of {@link writtenFormats}. */
export type WrittenFormat = (typeof writtenFormats)[number];

/** How {@link saveSaeAs} writes. */
export interface SaveSaeAsOptions extends Pick<LongCallOptions, "signal"> {
  /** `"f32"` by default; `"f16"` rounds. */
  readonly dtype?: SaeDType | undefined;
}

/**
 * Writes an SAE into a folder in a format by its name: `cfg.json` and `sae_weights.safetensors` as {@link saveSae}, or Gemma Scope's
 * `params.npz`. Returns the paths of the files.
 *
 * @throws ConfigError `SAE_FORMAT_NOT_WRITTEN` for another name; `SAE_NOT_JUMPRELU`, `SAE_NOT_PLAIN` for what Gemma Scope's format cannot
 *   hold; `SAE_F16_RANGE`; IoError `DISK_FULL`, `FILE_DENIED`; AbortedError
 *
 * @example
 * using sae = await loadSae("trainer_0", { device }); // of dictionary_learning, say
 * await saveSaeAs(sae, "out", "saelens");
 */
export async function saveSaeAs(
  sae: Sae,
  folder: string,
  format: string,
  options: SaveSaeAsOptions = {},
): Promise<readonly string[]> {
  const { dtype, signal } = options;
  if (format === "gemma-scope") {
    const bytes = await gemmaScopeNpz(sae, { dtype });
    await mkdir(folder, { recursive: true });
    const path = join(folder, gemmaScopeFile);
    await writeFileAtomic(path, bytes, { signal });
    return [path];
  }
  if (format === "latentkit" || format === "saelens") {
    await saveSae(sae, folder, { dtype, signal });
    return [join(folder, files.config), join(folder, files.weights)];
  }
  const near = didYouMean(format, writtenFormats);
  throw new ConfigError({
    code: "SAE_FORMAT_NOT_WRITTEN",
    message: `SAEs are not written as "${format}"${near === null ? "" : `; did you mean "${near}"?`} ${writtenFormats.join(", ")} are`,
    fix: "give one of these formats",
    where: format,
  });
}
