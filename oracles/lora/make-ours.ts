/**
 * Writes the adapters that PEFT is shown, and that a test compares today's bytes with:
 *
 *     npx tsx --conditions=@latentkit/source oracles/lora/make-ours.ts
 *
 * Then `python oracles/lora/check_peft_reads.py`.
 */
import { createReferenceBackend, Device } from "@latentkit/tensor";
import { fileURLToPath } from "node:url";
import { saveAdapter } from "../../packages/lora/src/node/save-adapter.ts";
import { loadBase, ourAdapter, ourAdapters } from "../../packages/lora/src/testing/fixtures.ts";

using device = new Device(createReferenceBackend());
using model = await loadBase(device);
for (const name of ourAdapters) {
  using adapter = ourAdapter(model, name);
  const folder = new URL(`../../packages/lora/src/__fixtures__/ours/${name}`, import.meta.url);
  await saveAdapter(adapter, fileURLToPath(folder));
}
