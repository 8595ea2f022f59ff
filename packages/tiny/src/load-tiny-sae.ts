import { ConfigError } from "@latentkit/core";
import { parseSaeLensConfig, readSaeLensWeights, type Sae } from "@latentkit/sae";
import type { Device } from "@latentkit/tensor";
import { openTensors } from "./checkpoint.ts";
import { saeFolder, tinyLayers } from "./files.ts";
import { readJsonFile, type TinyReader } from "./reader.ts";

/** Which SAE to load, and where to. */
export interface TinySaeOptions {
  /** Where the weights go; stays the caller's. */
  readonly device: Device;
  /** 0 to 5: the SAE reads `blocks.LAYER.hook_resid_post` of the base model. */
  readonly layer: number;
  readonly signal?: AbortSignal | undefined;
}

/** Options of {@link loadTinySae}. */
export interface LoadTinySaeOptions extends TinySaeOptions {
  /** Opens files of the data folder. */
  readonly read: TinyReader;
}

/**
 * The SAE that was trained on the residual stream behind a layer of the base model. The caller disposes it.
 *
 * @throws ConfigError `TINY_LAYER`; IoError `TINY_MISSING`, `TINY_FETCH`; FormatError `TINY_JSON`; what `parseSaeLensConfig` and
 *   `readSaeLensWeights` throw
 *
 * @example
 * using sae = await loadTinySae({ device, layer: 3, read });
 * const features = sae.encode(run.captured.get("blocks.3.hook_resid_post"));
 */
export async function loadTinySae(options: LoadTinySaeOptions): Promise<Sae> {
  const { device, layer, read, signal } = options;
  const folder = saeFolder(checkLayer(layer));
  const name = `${folder}/cfg.json`;
  const parsed = parseSaeLensConfig(await readJsonFile(read, name, signal), name);
  const store = await openTensors(read, `${folder}/sae_weights.safetensors`, signal);
  try {
    return await readSaeLensWeights(store, parsed, { device, signal });
  } finally {
    await store.close();
  }
}

function checkLayer(layer: number): number {
  if (Number.isInteger(layer) && layer >= 0 && layer < tinyLayers) return layer;
  throw new ConfigError({
    code: "TINY_LAYER",
    message: `the embedded model has no layer ${layer}`,
    fix: `give a whole number from 0 to ${tinyLayers - 1}`,
    where: "layer",
  });
}
