// The tiny Llama that oracles/lora/make.py wrote, the small checkpoints of all families, and adapters on them.
import { Random } from "@latentkit/core";
import { openCheckpoint, openSafetensorsFile } from "@latentkit/loaders/node";
import { type LanguageModel, loadModel } from "@latentkit/models";
import type { Device } from "@latentkit/tensor";
import { fileURLToPath } from "node:url";
import { createAdapter, LoraAdapter } from "../adapter.ts";

/** Path of a fixture. */
export function fixture(name: string): string {
  return fileURLToPath(new URL(`../__fixtures__/${name}`, import.meta.url));
}

/** The folder of a small checkpoint of `packages/models`. */
export function familyFolder(name: string): string {
  const families = "../../../models/src/__fixtures__/families/";
  return fileURLToPath(new URL(families + name, import.meta.url));
}

/** Loads a folder, by default the tiny Llama. */
export async function loadBase(device: Device, folder = fixture("base")): Promise<LanguageModel> {
  const checkpoint = await openCheckpoint(folder);
  try {
    return await loadModel(checkpoint, { device });
  } finally {
    await checkpoint.close();
  }
}

/** All tensors of a file, by default of a fixture, as numbers. */
export async function readFixture(
  name: string,
  path = fixture(name),
): Promise<{
  readonly floats: (tensor: string) => Float32Array;
  readonly rows: (tensor: string) => number[][];
  readonly names: readonly string[];
}> {
  const store = await openSafetensorsFile(path);
  const values = new Map<string, { shape: readonly number[]; values: Float32Array }>();
  for (const tensor of store.names())
    values.set(tensor, {
      shape: store.info(tensor).shape,
      // eslint-disable-next-line no-await-in-loop -- small
      values: await store.readFloats(tensor),
    });
  await store.close();
  return {
    names: [...values.keys()],
    floats: (tensor) => values.get(tensor)?.values ?? new Float32Array(),
    rows: (tensor) => {
      const { shape = [], values: flat = new Float32Array() } = values.get(tensor) ?? {};
      const width = shape.at(-1) ?? 1;
      return Array.from({ length: flat.length / width }, (_, row) => [
        ...flat.subarray(row * width, (row + 1) * width),
      ]);
    },
  };
}

export const ourAdapters = ["attention", "stable"] as const;

/** An adapter with random factors, as `oracles/lora/make-ours.ts` saves it. */
export function ourAdapter(model: LanguageModel, name: (typeof ourAdapters)[number]): LoraAdapter {
  using made =
    name === "attention"
      ? createAdapter({
          model,
          rank: 5,
          alpha: 8,
          targetModules: ["q_proj", "k_proj", "v_proj", "o_proj"],
          seed: 21,
          baseModel: null,
        })
      : createAdapter({
          model,
          rank: 4,
          alpha: 3,
          rsLora: true,
          layers: [0],
          seed: 22,
          baseModel: "base",
        });
  return randomFactors(model, made, 23);
}

/** Families of which PEFT is shown an adapter of ours, on all linear layers. */
export const ourFamilies = ["gpt2", "gpt-neox", "gemma2"] as const;

/** An adapter with random factors on a small checkpoint of that family, as `oracles/lora/make-ours.ts` saves it. */
export function ourFamilyAdapter(model: LanguageModel, name: string): LoraAdapter {
  using made = createAdapter({ model, rank: 2, alpha: 5, seed: 31, baseModel: name });
  return randomFactors(model, made, 32);
}

/** The same kind of adapter with all factors normal. */
export function randomFactors(
  model: LanguageModel,
  { config, modules }: LoraAdapter,
  seed: number,
): LoraAdapter {
  const random = new Random(seed);
  const values = new Map(
    modules.map(({ name, inputs, outputs }) => [
      name,
      {
        a: random.fillNormal(new Float32Array(config.rank * inputs), 1 / Math.sqrt(inputs)),
        b: random.fillNormal(new Float32Array(outputs * config.rank), 0.3),
      },
    ]),
  );
  return new LoraAdapter(model, config, values);
}
