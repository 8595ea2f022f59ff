import { readJson } from "@latentkit/loaders/node";
import { join } from "node:path";
import { z } from "zod";
import type { AdaptedModel, LoraAdapter } from "../adapter.ts";
import { parsePeftConfig } from "../peft/peft-config.ts";
import { readPeftWeights } from "../peft/peft-weights.ts";
import { files } from "./files.ts";
import { openAdapterWeights } from "./open-adapter-weights.ts";

/** How {@link loadAdapter} reads. */
export interface LoadAdapterOptions {
  /** The model that the adapter is for; the factors go onto its device. */
  readonly model: AdaptedModel;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Loads an adapter that {@link saveAdapter} or PEFT wrote (safetensors only: no pickle is executed). The caller disposes it.
 *
 * @throws IoError `FILE_MISSING`; FormatError `JSON_SYNTAX`, `ADAPTER_CONFIG`, `ADAPTER_WEIGHTS`, `ADAPTER_NOT_FINITE`; ConfigError
 *   `ADAPTER_UNSUPPORTED`, `ADAPTER_TARGETS`; MismatchError `ADAPTER_MODULES`; ShapeError `ADAPTER_SHAPE`
 */
export async function loadAdapter(
  folder: string,
  { model, signal }: LoadAdapterOptions,
): Promise<LoraAdapter> {
  const path = join(folder, files.config);
  const config = parsePeftConfig(await readJson(path, z.unknown()), path);
  const store = await openAdapterWeights(folder, signal);
  try {
    return await readPeftWeights(store, config, model, signal);
  } finally {
    await store.close();
  }
}
