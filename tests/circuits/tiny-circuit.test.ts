// A circuit of the embedded model, found on some prompts and tested on others. What is asked of it holds for any training state that
// has learnt that "they are" and "he is".
import { openCpuDevice } from "@latentkit/backend-cpu";
import { evaluateCircuit, findCircuit, latentAttribution, latentSite } from "@latentkit/circuits";
import type { LanguageModel } from "@latentkit/models";
import type { Sae } from "@latentkit/sae";
import type { Device } from "@latentkit/tensor";
import { loadTiny, loadTinySae } from "@latentkit/tiny/node";
import { afterAll, beforeAll, expect, it } from "vitest";
import { agreement } from "./agreement.ts";

let device: Device;
let model: LanguageModel;
let saes: readonly Sae[];

beforeAll(async () => {
  device = await openCpuDevice({ matmul: "wasm" });
  model = await loadTiny({ device, weights: "f32" });
  saes = await Promise.all([1, 3, 5].map((layer) => loadTinySae({ device, layer })));
});

afterAll(() => {
  for (const sae of saes) sae.dispose();
  model.dispose();
  expect(device.memory().liveBytes).toBe(0);
  device.dispose();
});

it("does on other prompts most of what the model does, and random latents as many do not", async () => {
  const { plural, singular, metric } = agreement(model);
  expect(plural.length).toBeGreaterThanOrEqual(8);
  const half = plural.length >> 1;
  const given = { model, sites: saes.map(latentSite), metric };
  const circuit = await findCircuit({
    ...given,
    clean: plural.slice(0, half),
    baseline: { corrupt: singular.slice(0, half) },
    nodeThreshold: 0.01,
    edgeThreshold: null,
    maximumNodes: 250,
  });
  const evaluation = await evaluateCircuit({
    ...given,
    clean: plural.slice(half),
    baseline: { mean: [...plural, ...singular], positions: "each" },
    nodes: circuit.nodes,
    randomCircuits: 8,
  });
  const { metric: measured, faithfulness, completeness, random } = evaluation;
  expect(measured.model - measured.empty).toBeGreaterThan(1);
  expect(random).toHaveLength(8);
  expect(faithfulness!.value).toBeGreaterThan(0.5);
  expect(faithfulness!.interval![0]).toBeGreaterThan(Math.max(...random) + 0.1);
  expect(completeness!.interval![1]).toBeLessThan(0.3);
});

it("has effects that add up to patching a layer, by integrated gradients", async () => {
  const { plural, singular, metric } = agreement(model);
  const found = await latentAttribution({
    model,
    sites: saes.slice(0, 2).map(latentSite),
    clean: plural.slice(0, 2),
    baseline: { corrupt: singular.slice(0, 2) },
    metric,
    integratedSteps: 16,
  });
  for (const { effects, errorEffects, together } of found.sites) {
    const added = [...effects, ...errorEffects!].reduce((sum, effect) => sum + effect, 0);
    const whole = together.reduce((sum, effect) => sum + effect, 0);
    expect(Math.abs(whole)).toBeGreaterThan(1);
    expect(Math.abs(added / whole - 1)).toBeLessThan(0.02);
  }
});
