/**
 * Writes the adapters that PEFT is shown, and that a test compares today's bytes with:
 *
 *     npx tsx --conditions=@latentkit/source oracles/lora/make-ours.ts
 *
 * Then `python oracles/lora/check_peft_reads.py`.
 */
import { createReferenceBackend, Device } from "@latentkit/tensor";
import { saveAdapter } from "../../packages/lora/src/node/save-adapter.ts";
import {
  familyFolder,
  fixture,
  loadBase,
  ourAdapter,
  ourAdapters,
  ourFamilies,
  ourFamilyAdapter,
} from "../../packages/lora/src/testing/fixtures.ts";

using device = new Device(createReferenceBackend());
using model = await loadBase(device);
for (const name of ourAdapters) {
  using adapter = ourAdapter(model, name);
  await saveAdapter(adapter, fixture(`ours/${name}`));
}
for (const name of ourFamilies) {
  using base = await loadBase(device, familyFolder(name));
  using adapter = ourFamilyAdapter(base, name);
  await saveAdapter(adapter, fixture(`ours/${name}`));
}
