/**
 * Writes the cache that SAELens is shown, and that a test compares today's bytes with:
 *
 *     npx tsx --conditions=@latentkit/source oracles/circuits/write-cache.ts
 *
 * Then `python oracles/circuits/saelens_cache.py check`.
 */
import { writeSafetensors } from "@latentkit/loaders/node";
import { mkdir, rm } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import {
  exampleContexts,
  exampleSource,
} from "../../packages/activations/src/node/__fixtures__/cache-example.ts";
import { writeSaeLensCache } from "../../packages/activations/src/node/saelens-cache/write-cache.ts";

const folder = fileURLToPath(
  new URL("../../packages/activations/src/node/__fixtures__/saelens-cache-ours/", import.meta.url),
);
await rm(folder, { recursive: true, force: true });
await mkdir(folder, { recursive: true });
await writeSaeLensCache(exampleSource(), { folder: `${folder}cache` });
const { activations, tokens } = exampleContexts();
await writeSafetensors(`${folder}golden.safetensors`, [
  { name: "activations", dtype: "f32", shape: [5, 4, 3], bytes: activations },
  { name: "tokens", dtype: "i32", shape: [5, 4], bytes: tokens },
]);
