// PyTorch's autograd on the same model, SAEs and prompts; see oracles/circuits/make.py.
import { logitDifference } from "@latentkit/analysis";
import { bytesSource, openSafetensors, type TensorStore } from "@latentkit/loaders";
import { type LanguageModel, loadModel } from "@latentkit/models";
import { Sae } from "@latentkit/sae";
import { readFile } from "node:fs/promises";
import { afterEach, expect, it } from "vitest";
import { referenceDevice } from "./__fixtures__/support.ts";
import type { CircuitNode } from "./circuit-node.ts";
import { latentEdges } from "./edges.ts";
import { evaluateCircuit } from "./evaluate-circuit.ts";
import { latentAttribution } from "./latent-attribution.ts";
import type { LatentSite } from "./spliced-sites.ts";

const device = referenceDevice();

afterEach(() => expect(device.memory().liveBytes).toBe(0));

const sites = ["blocks.0.hook_resid_post", "blocks.1.hook_mlp_out", "blocks.1.hook_resid_post"];
const [length, latents] = [6, 10];

async function openFile(path: string): Promise<TensorStore> {
  const bytes = await readFile(new URL(path, import.meta.url));
  return openSafetensors(bytesSource(Uint8Array.from(bytes), path));
}

async function openModel(): Promise<LanguageModel> {
  const folder = "../../models/src/__fixtures__/families/llama";
  const config: unknown = JSON.parse(
    await readFile(new URL(`${folder}/config.json`, import.meta.url), "utf8"),
  );
  const tensors = await openFile(`${folder}/model.safetensors`);
  const checkpoint = {
    name: "llama",
    format: "safetensors",
    config,
    tensors,
    tokenizer: null,
    weightsHash: () => Promise.resolve("0".repeat(64)),
    close: () => tensors.close(),
  } as const;
  return loadModel(checkpoint, { device, weights: "f32" });
}

async function openCase() {
  const golden = await openFile("__fixtures__/golden.safetensors");
  const integers = async (key: string) => [...(await golden.readIntegers(key))];
  const tokens = async (key: string) => {
    const flat = await integers(key);
    return [flat.slice(0, length), flat.slice(length)];
  };
  const saes = await Promise.all(
    sites.map(async (_, n) => {
      const read = (name: string) => golden.readFloats(`sae.${n}.${name}`);
      const weights = {
        encoderRows: await read("encoder"),
        decoder: await read("decoder"),
        encoderBias: await read("encoder_bias"),
        decoderBias: await read("decoder_bias"),
      };
      const sizes = { dIn: weights.decoderBias.length, dSae: latents };
      return n === 1
        ? Sae.fromWeights(
            device,
            { architecture: "topk", k: 4, ...sizes },
            { ...weights, threshold: null },
          )
        : Sae.fromWeights(
            device,
            { architecture: "jumprelu", ...sizes },
            { ...weights, threshold: await read("threshold") },
          );
    }),
  );
  return {
    golden,
    clean: await tokens("clean"),
    corrupt: await tokens("corrupt"),
    metric: logitDifference({
      target: await integers("target"),
      contrast: await integers("contrast"),
      reduction: "none",
    }),
    sites: sites.map((site, n): LatentSite => ({ site, sae: saes[n]! })),
    [Symbol.dispose]: () => saes.forEach((sae) => sae.dispose()),
  };
}

/** Bound: f32 against f64 through two layers; logits are of size 1. */
function expectNear(found: ArrayLike<number>, expected: ArrayLike<number>): void {
  expect(found.length).toBe(expected.length);
  const largest = Math.max(...Array.from(expected, Math.abs));
  expect(largest).toBeGreaterThan(1e-3);
  for (const [index, value] of Array.from(expected).entries())
    expect(Math.abs(found[index]! - value)).toBeLessThan(2e-5 * Math.max(1, largest));
}

it.each([
  [undefined, "effect", "error"],
  [5, "integrated", "integrated_error"],
] as const)(
  "effects with integrated steps %s are PyTorch's",
  async (integratedSteps, effect, error) => {
    using model = await openModel();
    using given = await openCase();
    const { golden, corrupt, ...rest } = given;
    const found = await latentAttribution({
      model,
      ...rest,
      baseline: { corrupt },
      integratedSteps,
    });
    expectNear(found.clean, await golden.readFloats("clean_metric"));
    for (const [n, site] of found.sites.entries()) {
      expectNear(site.effects, await golden.readFloats(`${effect}.${n}`));
      expectNear(site.errorEffects!, await golden.readFloats(`${error}.${n}`));
    }
  },
);

it("ablations of a circuit and of all around it are PyTorch's", async () => {
  using model = await openModel();
  using given = await openCase();
  const { golden, clean, corrupt, ...rest } = given;
  const nodes: CircuitNode[] = [];
  for (const [n, site] of sites.entries()) {
    for (const [cell, one] of (await golden.readFloats(`circuit.${n}`)).entries())
      if (one === 1)
        nodes.push({ site, latent: cell % latents, position: Math.floor(cell / latents) });
    for (const [position, one] of (await golden.readFloats(`circuit_error.${n}`)).entries())
      if (one === 1) nodes.push({ site, latent: null, position });
  }
  expect(nodes.length).toBeGreaterThan(80);
  const baseline = { mean: [...clean, ...corrupt] };
  const { metric, faithfulness } = await evaluateCircuit({
    model,
    clean,
    ...rest,
    baseline,
    nodes,
  });
  const mean = async (key: string) => {
    const values = await golden.readFloats(key);
    return values.reduce((sum, value) => sum + value, 0) / values.length;
  };
  const [whole, empty] = [await mean("clean_metric"), await mean("empty")];
  expectNear(
    [metric.model, metric.empty, metric.circuit, metric.complement],
    [whole, empty, await mean("inside"), await mean("outside")],
  );
  expect(faithfulness!.value).toBeCloseTo(((await mean("inside")) - empty) / (whole - empty), 3);
});

it("edges, past nodes in between, are PyTorch's", async () => {
  using model = await openModel();
  using given = await openCase();
  const { golden, corrupt, ...rest } = given;
  const every = sites.flatMap((site) =>
    Array.from({ length }, (_, position) => [
      ...Array.from({ length: latents }, (__, latent) => ({ site, latent, position })),
      { site, latent: null, position },
    ]).flat(),
  );
  const flat = await golden.readIntegers("edges.to");
  const ends = Array.from({ length: flat.length / 3 }, (_, index): CircuitNode => {
    const [site = 0, latent = 0, position = 0] = flat.subarray(3 * index);
    return { site: sites[site]!, latent: latent < 0 ? null : latent, position };
  });
  const edges = await latentEdges({
    model,
    ...rest,
    baseline: { corrupt },
    nodes: every,
    batchSize: 33,
  });
  const effectOf = (from: CircuitNode, to: CircuitNode | null) =>
    edges.find(
      (edge) =>
        edge.from.site === from.site &&
        edge.from.latent === from.latent &&
        edge.from.position === from.position &&
        edge.to?.site === to?.site &&
        edge.to?.latent === to?.latent &&
        edge.to?.position === to?.position,
    )?.effect ?? 0;
  const from = (n: number, errors: boolean) =>
    every.filter(({ site, latent }) => site === sites[n] && (latent === null) === errors);
  for (const n of [0, 1])
    for (const [key, errors] of [
      ["edges", false],
      ["edges_error", true],
    ] as const)
      expectNear(
        ends.flatMap((to) => from(n, errors).map((node) => effectOf(node, to))),
        await golden.readFloats(`${key}.${n}`),
      );
  for (const n of [0, 1, 2])
    for (const [key, errors] of [
      ["metric", false],
      ["metric_error", true],
    ] as const) {
      const expected = await golden.readFloats(`${key}.${n}`);
      const found = from(n, errors).map((node) => effectOf(node, null));
      // Nothing gets past the last stream.
      if (n < 2) expect(Math.max(...expected.map(Math.abs))).toBe(0);
      if (n < 2) expect(Math.max(...found.map(Math.abs))).toBeLessThan(1e-6);
      else expectNear(found, expected);
    }
});
