// Trains every architecture on the crowded synthetic world, and leaves the same rows for SAELens (see synthetic_table.py):
//
//   node --conditions=@latentkit/source --import tsx oracles/sae/synthetic-table.ts FOLDER [--seed 0] [KIND...]
//
// All kinds where none is named; the seed is that of the initial weights.
// Writes FOLDER/rows.f32 (training rows in the order of training, over their scale), held-out.f32, features.f32 (what fires in the
// held-out rows), directions.f32, world.json, and latentkit.json with the results. The world has seed 0.
import { openCpuDevice } from "@latentkit/backend-cpu";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import {
  plantedKindNames,
  plantedWorlds,
  trainPlanted,
} from "../../packages/sae/src/testing/planted-table.ts";
import { streamStatistics } from "../../packages/sae/src/train/normalise.ts";

const { values: flags, positionals } = parseArgs({
  options: { seed: { type: "string", default: "0" } },
  allowPositionals: true,
});
const [folder = "synthetic-table", ...kinds] = positionals;
const [steps, batchSize, k] = [1500, 256, 3];
const world = plantedWorlds.crowded;
const heldOut = world.sample(8192, 1);
const { scale } = await streamStatistics(world.batches(0), 16_384, batchSize);
mkdirSync(folder, { recursive: true });
const write = (name: string, values: Float32Array): void =>
  writeFileSync(join(folder, name), values);
const { dIn, features } = world.config;
write(
  "rows.f32",
  world.sample(steps * batchSize, 0).activations.map((value) => value / scale),
);
write(
  "held-out.f32",
  heldOut.activations.map((value) => value / scale),
);
write("features.f32", heldOut.features);
write("directions.f32", Float32Array.from(world.directions));
writeFileSync(
  join(folder, "world.json"),
  JSON.stringify({ dIn, features, steps, batchSize, k, scale, world: world.config }),
);
const device = await openCpuDevice({ matmul: "wasm" });
const results: Record<string, unknown> = {};
const named = new Set(kinds);
for (const kind of plantedKindNames.filter((name) => named.size === 0 || named.has(name))) {
  const changes = kind === "p_anneal" ? { annealEnd: 1200 } : {};
  results[kind] = await trainPlanted(device, {
    world,
    kind,
    k,
    batches: world.batches(0),
    heldOut,
    steps,
    seed: Number(flags.seed),
    changes,
  });
  console.log(kind, JSON.stringify(results[kind]));
}
device.dispose();
writeFileSync(join(folder, "latentkit.json"), `${JSON.stringify(results, null, 1)}\n`);
