// Helpers of this package's tests.
import { bytesSource, openSafetensors, type TensorStore } from "@latentkit/loaders";
import { type LanguageModel, loadModel } from "@latentkit/models";
import { createReferenceBackend, Device } from "@latentkit/tensor";
import { readFile } from "node:fs/promises";

const folderOfFamilies = "../../../models/src/__fixtures__/families/";

export function referenceDevice(): Device {
  return new Device(createReferenceBackend());
}

async function open(path: string): Promise<TensorStore> {
  const bytes = await readFile(new URL(path, import.meta.url));
  return openSafetensors(bytesSource(Uint8Array.from(bytes), path));
}

/** One of the small checkpoints of packages/models, by its case's name. */
export async function openModel(
  name: string,
  device: Device,
  weights: "f32" | "stored" = "f32",
): Promise<LanguageModel> {
  const folder = `${folderOfFamilies}${name}/`;
  const config: unknown = JSON.parse(
    await readFile(new URL(`${folder}config.json`, import.meta.url), "utf8"),
  );
  const tensors = await open(`${folder}model.safetensors`);
  const checkpoint = {
    name,
    format: "safetensors",
    config,
    tensors,
    tokenizer: null,
    weightsHash: () => Promise.resolve("0".repeat(64)),
    close: () => tensors.close(),
  } as const;
  return loadModel(checkpoint, { device, weights });
}

/** What TransformerLens said; see oracles/analysis/make.py. */
export async function openGolden(name: string): Promise<{
  readonly floats: (key: string) => Promise<Float32Array>;
  readonly tokens: (key: string) => Promise<number[][]>;
}> {
  const golden = await open(`${name}.golden.safetensors`);
  return {
    floats: (key) => golden.readFloats(key),
    async tokens(key) {
      const [rows = 0, length = 1] = golden.info(key).shape;
      const flat = await golden.readIntegers(key);
      return Array.from({ length: rows }, (_, row) => [
        ...flat.subarray(row * length, (row + 1) * length),
      ]);
    },
  };
}

/** max |actual - expected| / max(1, std(expected)). NaN and other lengths are infinitely far. */
export function distance(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (actual.length !== expected.length) return Number.POSITIVE_INFINITY;
  const values = Array.from(expected);
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
  const largest = values.reduce((most, value, index) => {
    const difference = Math.abs((actual[index] ?? Number.NaN) - value);
    return Number.isNaN(difference) ? Number.POSITIVE_INFINITY : Math.max(most, difference);
  }, 0);
  return largest / Math.max(1, Math.sqrt(variance));
}

/** The families whose streams differ: norms, biases, caps, positions, parallel blocks, norms after attention. */
export const familyCases: readonly string[] = [
  "llama",
  "llama-biases-llama3",
  "mistral",
  "qwen2",
  "qwen3",
  "olmo2",
  "gemma2",
  "gemma3",
  "gpt2",
  "gpt2-variants",
  "gpt-neox",
  "gpt-neox-sequential",
];

/** 12 tokens that no family's fixture is too small for, twice. */
export const prompts: readonly (readonly number[])[] = [
  [3, 14, 15, 9, 26, 5, 35, 8, 9, 7, 9, 32],
  [27, 18, 28, 18, 28, 4, 5, 9, 4, 5, 23, 36],
];
