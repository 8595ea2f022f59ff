/**
 * Reads every checkpoint of `packages/sae/src/__fixtures__/formats` and writes it in our format, into a folder for SAELens to be shown:
 *
 *     npx tsx --conditions=@latentkit/source oracles/sae/convert-formats.ts OUT
 *     python oracles/sae/check_converted.py OUT
 */
import { createReferenceBackend, Device } from "@latentkit/tensor";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { loadSae } from "../../packages/sae/src/node/load-sae.ts";
import { saveSae } from "../../packages/sae/src/node/save-sae.ts";
import { formatCases } from "../../packages/sae/src/testing/format-cases.ts";

const [out = "out"] = process.argv.slice(2);
const fixtures = fileURLToPath(
  new URL("../../packages/sae/src/__fixtures__/formats", import.meta.url),
);
using device = new Device(createReferenceBackend());
for (const { path, golden = path, options } of formatCases) {
  using sae = await loadSae(join(fixtures, path), { device, ...options });
  await saveSae(sae, join(out, golden));
}
