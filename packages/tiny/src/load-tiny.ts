import type { LongCallOptions } from "@latentkit/core";
import { parsePeftConfig, readPeftWeights, withAdapter } from "@latentkit/lora";
import { type LanguageModel, loadModel } from "@latentkit/models";
import type { Device } from "@latentkit/tensor";
import { AdaptedModel } from "./adapted-model.ts";
import { openBase, openTensors } from "./checkpoint.ts";
import { readJsonFile, type TinyReader } from "./reader.ts";
import { parseVersion, type TinyVersion } from "./version.ts";

/** Which of the embedded models to load, and where to. */
export interface TinyOptions extends LongCallOptions {
  /** Where the weights go; stays the caller's. */
  readonly device: Device;
  /** `"base"` unless told. */
  readonly version?: TinyVersion | undefined;
  /** As for `loadModel`: `"f32"` for gradients to weights. The instruction-tuned version is f32 always, since its weights are merged. */
  readonly weights?: "stored" | "f32" | undefined;
}

/** Options of {@link loadTiny}. */
export interface LoadTinyOptions extends TinyOptions {
  /** Opens files of the data folder. */
  readonly read: TinyReader;
}

/**
 * The embedded language model: Llama-style, 6 layers of 256, a vocabulary of 4,096, contexts of 512 tokens. It is called `tiny`, or
 * `tiny-instruct` with the instruction-tuning adapter merged in. The caller disposes it.
 *
 * @throws ConfigError `TINY_VERSION`; IoError `TINY_MISSING`, `TINY_FETCH` (see the reader); FormatError `TINY_JSON`; what `loadModel`
 *   and `readPeftWeights` throw; AbortedError. Nothing is left on the device then.
 *
 * @example
 * using model = await loadTiny({ device, read: fetchTiny("https://example.org/tiny/") });
 */
export async function loadTiny(options: LoadTinyOptions): Promise<LanguageModel> {
  const { device, read, signal, onProgress } = options;
  const version = parseVersion(options.version ?? "base");
  const checkpoint = await openBase(read, signal);
  let base: LanguageModel;
  try {
    const weights = version === "instruct" ? "f32" : options.weights;
    base = await loadModel(checkpoint, { device, weights, signal, onProgress });
  } finally {
    await checkpoint.close();
  }
  if (version === "base") return base;
  try {
    return await instructed(base, read, signal);
  } catch (error) {
    base.dispose();
    throw error;
  }
}

async function instructed(
  base: LanguageModel,
  read: TinyReader,
  signal: AbortSignal | undefined,
): Promise<LanguageModel> {
  const name = "instruct/adapter_config.json";
  const config = parsePeftConfig(await readJsonFile(read, name, signal), name);
  const store = await openTensors(read, "instruct/adapter_model.safetensors", signal);
  try {
    using adapter = await readPeftWeights(store, config, base, signal);
    return new AdaptedModel("tiny-instruct", base, await withAdapter(base, adapter));
  } finally {
    await store.close();
  }
}
