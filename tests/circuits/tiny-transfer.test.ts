// The embedded model's SAEs, which were trained on its base, on its instruction-tuned version.
import { defaultMask, defaultPacking, packDocument } from "@latentkit/activations";
import { openCpuDevice } from "@latentkit/backend-cpu";
import { saeTransfer } from "@latentkit/circuits";
import { contextRows, evaluateSae } from "@latentkit/sae";
import { loadTiny, loadTinySae } from "@latentkit/tiny/node";
import { tinyMixture } from "@latentkit/worlds";
import { expect, it } from "vitest";

it("an SAE of the base serves the tuned model, and one of another layer does not even serve the base", async () => {
  using device = await openCpuDevice({ matmul: "wasm" });
  using base = await loadTiny({ device, weights: "f32" });
  using tuned = await loadTiny({ device, version: "instruct", weights: "f32" });
  using sae = await loadTinySae({ device, layer: 3 });
  using other = await loadTinySae({ device, layer: 1 });
  // Documents that training did not see: another seed of the mixture.
  const mixture = tinyMixture({ seed: 9_001, stage: "base" });
  const packing = { ...defaultPacking, contextSize: 32, documentTokens: 31, prependBos: true };
  const contexts = Array.from({ length: 4 }, (_, index) => {
    const { text } = mixture.next();
    return packDocument(base.tokenizer!, { id: String(index), text }, index, packing).contexts;
  }).flat();
  const found = await saeTransfer({ base, tuned, contexts, sae, resamples: 200 });
  expect(found.site).toBe("blocks.3.hook_resid_post");
  expect([found.base.model.name, found.tuned.model.name]).toEqual(["tiny", "tiny-instruct"]);
  for (const side of ["base", "tuned"] as const) {
    const { fvu, recovered, tokens } = found[side];
    expect(tokens).toBeGreaterThan(100);
    expect(fvu.interval![1]).toBeLessThan(0.3);
    expect(recovered.value).toBeGreaterThan(0.95);
  }
  const mask = { ...defaultMask, medianNorm: found.base.medianNorm };
  const rows = contextRows(base, contexts, { site: found.site, mask });
  const { fvu } = await evaluateSae(other, rows, { resamples: 0 });
  expect(fvu).toBeGreaterThan(2 * found.base.fvu.interval![1]);
  expect(found.change.fvu.value).toBeCloseTo(found.tuned.fvu.value - found.base.fvu.value, 10);
  const ratio = found.tuned.fvu.value / found.base.fvu.value;
  expect(ratio).toBeGreaterThan(0.8);
  expect(ratio).toBeLessThan(1.5);
});
