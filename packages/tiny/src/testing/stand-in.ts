// A data folder of random weights, laid out as the real one is: for tests of what reads it, and to try the atlas before there is data.
import { Random } from "@latentkit/core";
import { tokenizerFromJson } from "@latentkit/loaders";
import {
  openCheckpoint,
  readJson,
  writeFileAtomic,
  writeSafetensors,
} from "@latentkit/loaders/node";
import { createAdapter, LoraAdapter } from "@latentkit/lora";
import { saveAdapter } from "@latentkit/lora/node";
import { loadModel, type LanguageModel, type ModelConfig, randomModel } from "@latentkit/models";
import { saveModel } from "@latentkit/models/node";
import { saeLensConfigOf, saeLensTensors } from "@latentkit/sae";
import type { Device } from "@latentkit/tensor";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { saeFolder, tinyLayers } from "../files.ts";

/** The sizes of the real model, to time what it will take. */
export const realSizes: Partial<ModelConfig> = {
  dModel: 256,
  heads: 8,
  kvHeads: 4,
  dHead: 32,
  dMlp: 704,
};

/** Sizes that make a test quick. */
const smallSizes: Partial<ModelConfig> = { dModel: 32, heads: 2, kvHeads: 1, dHead: 16, dMlp: 48 };

/** Writes the folder. Weights depend on nothing but the sizes. */
export async function writeStandIn(
  folder: string,
  device: Device,
  { sizes = smallSizes, width = 8 }: { sizes?: Partial<ModelConfig>; width?: number } = {},
): Promise<void> {
  const training = fileURLToPath(new URL("../../training/tokenizer", import.meta.url));
  const anyObject = z.record(z.string(), z.unknown());
  const tokenizerJson = await readJson(join(training, "tokenizer.json"), anyObject);
  const tokenizerConfig = await readJson(join(training, "tokenizer_config.json"), anyObject);
  const tokenizer = tokenizerFromJson(tokenizerJson, tokenizerConfig);
  const config = { ...sizes, layers: tinyLayers, contextSize: 512, endTokens: [0] };
  using drawn = randomModel({ device, seed: 5, config, tokenizer });
  const base = join(folder, "base");
  await saveModel(drawn, base, { dtype: "f16", tokenizerJson, tokenizerConfig });
  const checkpoint = await openCheckpoint(base);
  using model = await loadModel(checkpoint, { device });
  await checkpoint.close();
  await writeAdapter(model, join(folder, "instruct"));
  for (let layer = 0; layer < tinyLayers; layer++)
    await writeSae(model, layer, width, join(folder, saeFolder(layer)));
  const record = { schemaVersion: 1, worldSeed: 1, mixtureSeed: 1, trainedTokens: 0 };
  await writeFileAtomic(join(folder, "world.json"), `${JSON.stringify(record)}\n`);
}

/** B is 0 in a new adapter: here it is drawn too, so that the adapter changes something. */
async function writeAdapter(model: LanguageModel, folder: string): Promise<void> {
  using empty = createAdapter({ model, rank: 4, alpha: 8, seed: 1 });
  const random = new Random(2);
  const values = new Map(
    [...(await empty.values())].map(([name, { a, b }]) => [
      name,
      { a, b: random.fillNormal(b).map((value) => value / 20) },
    ]),
  );
  using adapter = new LoraAdapter(model, empty.config, values);
  await saveAdapter(adapter, folder);
}

/** JumpReLU over random directions, with thresholds that some latents pass often and most seldom. */
async function writeSae(
  model: LanguageModel,
  layer: number,
  width: number,
  folder: string,
): Promise<void> {
  const dIn = model.config.dModel;
  const dSae = width * dIn;
  const random = new Random(10 + layer);
  const rows = random.fillNormal(new Float32Array(dSae * dIn)).map((value) => value / dIn ** 0.5);
  await mkdir(folder, { recursive: true });
  const tensors = saeLensTensors({
    encoderRows: rows,
    decoder: rows.slice(),
    encoderBias: new Float32Array(dSae),
    decoderBias: new Float32Array(dIn),
    threshold: new Float32Array(dSae).map((_, latent) => (latent % 50 === 0 ? 0.5 : 2.5)),
  });
  await writeSafetensors(
    join(folder, "sae_weights.safetensors"),
    tensors.map((tensor) => ({ ...tensor, dtype: "f16" as const })),
  );
  const metadata = {
    modelName: "tiny",
    hookName: `blocks.${layer}.hook_resid_post`,
    weightsHash: model.identity().weightsHash,
  };
  const written = saeLensConfigOf({
    schemaVersion: 1,
    architecture: "jumprelu",
    dIn,
    dSae,
    applyBDecToInput: false,
    normalizeActivations: "none",
    reshapeActivations: "none",
    metadata,
  });
  await writeFileAtomic(join(folder, "cfg.json"), `${JSON.stringify(written, null, 2)}\n`);
}
