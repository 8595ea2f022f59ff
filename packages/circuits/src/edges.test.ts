// Edges add up to effects, and skip nothing that is between.
import { RandomKey } from "@latentkit/core";
import { type LatentCodec, randomModel } from "@latentkit/models";
import { add, linear, randomNormal } from "@latentkit/tensor";
import { afterEach, describe, expect, it } from "vitest";
import {
  allNodes,
  clean,
  corrupt,
  metric,
  randomSae,
  referenceDevice,
  smallModel,
  sum,
} from "./__fixtures__/support.ts";
import { nodeKey } from "./circuit-node.ts";
import { type CircuitEdge, latentEdges } from "./edges.ts";
import { evaluateCircuit } from "./evaluate-circuit.ts";
import { latentAttribution } from "./latent-attribution.ts";
import { rankNodes } from "./rank-nodes.ts";

const device = referenceDevice();

afterEach(() => expect(device.memory().liveBytes).toBe(0));

// The first has a value by head.
const names = ["blocks.0.attn.hook_z", "blocks.1.hook_attn_out", "blocks.1.hook_mlp_out"];

describe.each(["node", "kept", "none"] as const)("with the error %s", (error) => {
  it("what goes to all later nodes and straight to the metric is the whole effect", async () => {
    using model = smallModel(device, 21);
    using sae = randomSae(device, 22, "jumprelu", 6);
    using other = randomSae(device, 23, "topk", 6);
    const sites = names.map((site, index) => ({ site, sae: index === 1 ? other : sae }));
    const given = { model, sites, clean, metric, error, baseline: { corrupt } };
    const nodes = names.flatMap((site) => allNodes(site, 6, error === "node"));
    const edges = await latentEdges({ ...given, nodes, batchSize: 7 });
    const effects = rankNodes(await latentAttribution(given), { resamples: 0 });
    expect(effects.length).toBeGreaterThan(15);
    const scale = Math.max(...effects.map(({ effect }) => Math.abs(effect)));
    for (const node of effects) {
      const out = edges.filter(({ from }) => nodeKey(from) === nodeKey(node));
      // Bound: f32 sums of some 60 products of size 1.
      expect(Math.abs(sum(out.map(({ effect }) => effect)) - node.effect)).toBeLessThan(
        1e-5 * scale + 1e-6,
      );
    }
    const through = edges.filter(({ to }) => to !== null);
    expect(through.some(({ effect }) => Math.abs(effect) > scale / 100)).toBe(true);
    // In forward order only, and from attention to the MLP as well as from the stream to both.
    const pairs = new Set(
      through.map(({ from, to }) => `${names.indexOf(from.site)}${names.indexOf(to!.site)}`),
    );
    expect([...pairs].toSorted()).toEqual(["01", "02", "12"]);
  });
});

it("counts what a transcoder's skip connection lets through", async () => {
  using model = smallModel(device, 28);
  using sae = randomSae(device, 29, "jumprelu", 6);
  using skip = device.scope(() => randomNormal(device, [12, 12], new RandomKey(3)));
  const transcoder: LatentCodec = {
    encode: (x) => sae.encode(x),
    decode: (latents, x) => add(sae.decode(latents), linear(x, skip, null)),
  };
  const sites = [
    { site: "blocks.0.hook_resid_post", sae },
    { site: "blocks.1.hook_mlp_out", sae: transcoder, from: "blocks.1.ln2.hook_normalized" },
  ];
  const given = { model, sites, clean, metric, baseline: { corrupt } };
  const nodes = sites.flatMap(({ site }) => allNodes(site, 6, true));
  const edges = await latentEdges({ ...given, nodes });
  const effects = rankNodes(await latentAttribution(given), { resamples: 0 });
  const first = effects.filter(({ site }) => site === sites[0]!.site);
  expect(first.length).toBeGreaterThan(5);
  for (const node of first) {
    const out = edges.filter(({ from }) => nodeKey(from) === nodeKey(node));
    expect(out.length).toBeGreaterThan(1);
    expect(Math.abs(sum(out.map(({ effect }) => effect)) - node.effect)).toBeLessThan(1e-5);
  }
});

describe("latentEdges", () => {
  it.each([
    { site: "blocks.1.hook_resid_mid", latent: 0, position: 0 },
    { site: "blocks.0.attn.hook_z", latent: 0, position: 5 },
    { site: "blocks.0.attn.hook_z", latent: null, position: 0 },
  ])("refuses the node %j", async (node) => {
    using model = smallModel(device, 26);
    using sae = randomSae(device, 27);
    const given = {
      model,
      sites: [{ site: names[0]!, sae }],
      clean,
      metric,
      nodes: [node],
    } as const;
    const refused = { code: "CIRCUIT_NODES" };
    await expect(latentEdges({ ...given, error: "kept" })).rejects.toMatchObject(refused);
    await expect(evaluateCircuit({ ...given, error: "kept" })).rejects.toMatchObject(refused);
  });

  it("finds them together what it finds one by one, and positions together what they are in all", async () => {
    using model = smallModel(device, 24);
    using sae = randomSae(device, 25, "jumprelu", 5);
    const sites = names.slice(0, 2).map((site) => ({ site, sae }));
    const given = { model, sites, clean, metric, baseline: { corrupt } };
    const nodes = sites.flatMap(({ site }) => allNodes(site, 5, true));
    const byKey = (edges: readonly CircuitEdge[]) =>
      new Map(
        edges.map(({ from, to, effect }) => [
          `${nodeKey(from)} ${to === null ? "" : nodeKey(to)}`,
          effect,
        ]),
      );
    const single = byKey(await latentEdges({ ...given, nodes, batchSize: 1 }));
    const batched = byKey(await latentEdges({ ...given, nodes, batchSize: 100 }));
    expect(single.size).toBeGreaterThan(10);
    expect(batched.size).toBe(single.size);
    for (const [key, effect] of single) expect(batched.get(key)).toBeCloseTo(effect, 6);
    const summed = await latentEdges({
      ...given,
      nodes: nodes
        .filter(({ position }) => position === 0)
        .map((node) => ({ ...node, position: null })),
    });
    for (const { from, to, effect } of summed) {
      const own = [...single].filter(
        ([key]) =>
          key.startsWith(nodeKey(from).replace("*", "")) &&
          (to === null ? key.endsWith(" ") : key.includes(` ${nodeKey(to).replace("*", "")}`)),
      );
      expect(effect).toBeCloseTo(sum(own.map(([, value]) => value)), 6);
    }
  });

  it("knows no way between sites that are side by side", async () => {
    using model = randomModel({
      device,
      seed: 26,
      config: {
        architecture: "gpt_neox",
        parallelResidual: true,
        layers: 2,
        dModel: 12,
        heads: 2,
        kvHeads: 2,
        dHead: 6,
        dRotary: 6,
        dMlp: 8,
        vocabulary: 20,
        contextSize: 12,
      },
    });
    using sae = randomSae(device, 27, "jumprelu", 5);
    const sites = names.slice(1).map((site) => ({ site, sae }));
    const nodes = sites.flatMap(({ site }) => allNodes(site, 5, true));
    const edges = await latentEdges({ model, sites, clean, metric, nodes });
    expect(edges.length).toBeGreaterThan(0);
    expect(edges.filter(({ to }) => to !== null)).toEqual([]);
  });

  it("stops on request", async () => {
    using model = smallModel(device, 26);
    using sae = randomSae(device, 27, "jumprelu", 5);
    const sites = names.map((site) => ({ site, sae }));
    const stop = new AbortController();
    const running = latentEdges({
      model,
      sites,
      clean,
      metric,
      nodes: sites.flatMap(({ site }) => allNodes(site, 5, true)),
      signal: stop.signal,
      onProgress({ done, total, unit }) {
        expect([done, total, unit]).toEqual([8, 61, "nodes"]);
        stop.abort();
      },
    });
    await expect(running).rejects.toMatchObject({ code: "ABORTED" });
  });
});
