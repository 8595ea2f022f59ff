/**
 * Puts what training made into the package's data folder: the base in f16 with its tokenizer, the instruction-tuning adapter, the SAE of
 * each layer in f16, and `world.json`, which says what all of it was made from.
 *
 *     node --conditions=@latentkit/source --import tsx packages/tiny/training/pack.ts RUN INSTRUCT SUITE
 *
 * RUN is the folder of `latentkit train-lm`, INSTRUCT that of instruct.ts, SUITE that of `latentkit suite run packed-suite.json`.
 */
import { copyFile, mkdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { hashBytes } from "@latentkit/loaders";
import { writeFileAtomic } from "@latentkit/loaders/node";
import { parseSuiteMetrics } from "@latentkit/suite";
import { loadHistory, loadSae, saveSae } from "@latentkit/sae/node";
import { createReferenceBackend, Device } from "@latentkit/tensor";
import { tinyWorldSeed } from "@latentkit/worlds";
import { z } from "zod";

const [run, instruct, suite] = process.argv.slice(2);
if (!run || !instruct || !suite) throw new TypeError("give RUN, INSTRUCT and SUITE folders");
const data = fileURLToPath(new URL("../data", import.meta.url));
await rm(data, { recursive: true, force: true });

/** Copies files of one folder into another. */
async function copy(from: string, to: string, names: readonly string[]): Promise<void> {
  await mkdir(to, { recursive: true });
  for (const name of names) await copyFile(join(from, name), join(to, name));
}

await copy(join(run, "model-f16"), join(data, "base"), [
  "config.json",
  "generation_config.json",
  "model.safetensors",
  "tokenizer.json",
  "tokenizer_config.json",
]);
await copy(join(instruct, "adapter"), join(data, "instruct"), [
  "adapter_config.json",
  "adapter_model.safetensors",
]);

const device = new Device(createReferenceBackend());
const metrics = parseSuiteMetrics(JSON.parse(await readFile(join(suite, "metrics.json"), "utf8")));
for (const row of metrics.rows) {
  if (row.site !== "res") continue;
  const from = join(suite, row.path);
  const sae = await loadSae(from, { device });
  const history = await loadHistory(from);
  await saveSae(sae, join(data, "sae", `layer_${row.layer}`), {
    dtype: "f16",
    ...(history === null ? {} : { history }),
  });
  sae.dispose();
  // The suite knew the model by the folder it lay in.
  const path = join(data, "sae", `layer_${row.layer}`, "cfg.json");
  const config = z
    .looseObject({ metadata: z.looseObject({ model_name: z.string() }) })
    .parse(JSON.parse(await readFile(path, "utf8")));
  config.metadata.model_name = "tiny";
  await writeFileAtomic(path, `${JSON.stringify(config, null, 2)}\n`);
}
device.dispose();

const weights = await readFile(join(data, "base/model.safetensors"));
const made = z
  .object({
    config: z.object({
      model: z.record(z.string(), z.unknown()),
      training: z.record(z.string(), z.unknown()),
      data: z.object({ worlds: z.object({ seed: z.int(), stage: z.string() }) }),
    }),
    result: z.object({ steps: z.int(), tokens: z.int(), validation: z.number().nullish() }),
  })
  .parse(JSON.parse(await readFile(join(run, "training.json"), "utf8")));
const world = {
  schemaVersion: 1,
  worldSeed: tinyWorldSeed,
  mixtureSeed: made.config.data.worlds.seed,
  stage: made.config.data.worlds.stage,
  trainedTokens: made.result.tokens,
  weightsSha256: hashBytes(Uint8Array.from(weights)),
  // Without the paths of the machine that it ran on.
  model: made.config.model,
  training: { ...made.config.training, ...made.result },
};
await writeFileAtomic(join(data, "world.json"), `${JSON.stringify(world, null, 1)}\n`);
