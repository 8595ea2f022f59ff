// A circuit that was written by hand is found, and random ones of its size do nothing.
import { afterEach, describe, expect, it } from "vitest";
import {
  featureSae,
  plantedMetric,
  plantedModel,
  plantedNodes,
  plantedPrompts,
  plantedSites,
} from "./__fixtures__/planted.ts";
import { referenceDevice } from "./__fixtures__/support.ts";
import { nodeKey } from "./circuit-node.ts";
import { edgeTable, evaluationTable, nodeTable } from "./circuit-table.ts";
import { parseCircuit } from "./circuit.ts";
import { evaluateCircuit } from "./evaluate-circuit.ts";
import { findCircuit } from "./find-circuit.ts";

const device = referenceDevice();

afterEach(() => expect(device.memory().liveBytes).toBe(0));

const keys = (nodes: readonly Parameters<typeof nodeKey>[0][]) => nodes.map(nodeKey).toSorted();

describe("a planted circuit", () => {
  const { clean, corrupt } = plantedPrompts(1, 6);
  const heldOut = plantedPrompts(2, 12);
  const given = { clean, baseline: { corrupt }, metric: plantedMetric, nodeThreshold: 0.05 };

  it.each([undefined, 10])(
    "is found, nodes and edges, with integrated steps %s",
    async (integratedSteps) => {
      using model = plantedModel(device);
      using sae = featureSae(device);
      const sites = plantedSites.map((site) => ({ site, sae }));
      const circuit = await findCircuit({ model, sites, ...given, integratedSteps });
      expect(circuit.metric).toBeGreaterThan(0.5);
      expect(keys(circuit.nodes)).toEqual(keys(plantedNodes));
      // Without any of them the answer is gone.
      for (const { effect, interval } of circuit.nodes) {
        expect(effect).toBeLessThan(-0.3);
        expect(interval![0]).toBeLessThanOrEqual(effect);
        expect(interval![1]).toBeLessThan(0);
      }
      const [first, second, third] = plantedNodes.map(nodeKey);
      const found = circuit.edges.map(({ from, to }) => [
        nodeKey(from),
        to === null ? null : nodeKey(to),
      ]);
      expect(found).toEqual([
        [first, second],
        [second, third],
        [third, null],
      ]);
      expect(parseCircuit(JSON.parse(JSON.stringify(circuit)))).toEqual(circuit);
    },
  );

  it("is faithful and complete on other prompts, and random ones are not", async () => {
    using model = plantedModel(device);
    using sae = featureSae(device);
    const sites = plantedSites.map((site) => ({ site, sae }));
    const baseline = { mean: [...heldOut.clean, ...heldOut.corrupt], positions: "each" } as const;
    const evaluation = await evaluateCircuit({
      model,
      sites,
      clean: heldOut.clean,
      baseline,
      metric: plantedMetric,
      nodes: plantedNodes,
      randomCircuits: 25,
      seed: 7,
    });
    expect(evaluation.faithfulness!.value).toBeGreaterThan(0.97);
    expect(evaluation.faithfulness!.value).toBeLessThan(1.03);
    expect(Math.abs(evaluation.completeness!.value)).toBeLessThan(0.03);
    const [low, high] = evaluation.faithfulness!.interval!;
    expect(low).toBeGreaterThan(0.95);
    expect(high).toBeLessThan(1.05);
    expect(evaluation.random).toHaveLength(25);
    expect(Math.max(...evaluation.random.map(Math.abs))).toBeLessThan(0.2);
    expect(evaluationTable(evaluation)).toContain("25 random circuits");
  });

  it("goes through the error where the SAE lacks its latent", async () => {
    using model = plantedModel(device);
    using whole = featureSae(device);
    using blind = featureSae(device, [1]);
    const sites = plantedSites.map((site, index) => ({ site, sae: index === 1 ? blind : whole }));
    const { nodes, edges } = await findCircuit({ model, sites, ...given });
    const expected = plantedNodes.map((node, index) =>
      index === 1 ? { ...node, latent: null } : node,
    );
    expect(keys(nodes)).toEqual(keys(expected));
    const [first, second, third] = expected.map(nodeKey);
    const found = edges.map(
      ({ from, to }) => `${nodeKey(from)} > ${to === null ? "metric" : nodeKey(to)}`,
    );
    expect(found).toEqual(expect.arrayContaining([`${first} > ${second}`, `${second} > ${third}`]));
    const tested = {
      model,
      sites,
      clean: heldOut.clean,
      metric: plantedMetric,
      baseline: { corrupt: heldOut.corrupt },
    };
    const without = await evaluateCircuit({
      ...tested,
      nodes: expected.filter(({ latent }) => latent !== null),
    });
    expect(Math.abs(without.faithfulness!.value)).toBeLessThan(0.05);
    const kept = await evaluateCircuit({ ...tested, nodes: expected });
    expect(kept.faithfulness!.value).toBeGreaterThan(0.97);
  });

  it("is found with positions together", async () => {
    using model = plantedModel(device);
    using sae = featureSae(device);
    const sites = plantedSites.map((site) => ({ site, sae }));
    const circuit = await findCircuit({ model, sites, ...given, positions: "together" });
    expect(keys(circuit.nodes)).toEqual(
      keys(plantedNodes.map((node) => ({ ...node, position: null }))),
    );
    expect(nodeTable(circuit)).toMatch(
      /blocks\.0\.hook_resid_pre #0 +\| +-0\.\d{4} \| -0\.\d+ to -0\.\d+ \| +2\.000/u,
    );
    expect(edgeTable(circuit)).toContain("metric");
  });
});

describe("parseCircuit", () => {
  it("names the field that is wrong", () => {
    expect(() => parseCircuit({ schemaVersion: 2 })).toThrow(
      expect.objectContaining({
        code: "CIRCUIT_FORMAT",
        message: expect.stringContaining("schemaVersion"),
      }),
    );
  });
});

describe("evaluateCircuit", () => {
  const { clean } = plantedPrompts(3, 2);

  it("has nothing to share out where ablation changes nothing", async () => {
    using model = plantedModel(device);
    using sae = featureSae(device);
    const sites = [{ site: plantedSites[0], sae }];
    const found = await evaluateCircuit({
      model,
      sites,
      clean,
      baseline: { corrupt: clean },
      metric: plantedMetric,
      nodes: [],
    });
    expect(found.faithfulness).toBeNull();
    expect(found.metric.empty).toBe(found.metric.model);
  });

  it("stops on request", async () => {
    using model = plantedModel(device);
    using sae = featureSae(device);
    const stop = new AbortController();
    const running = evaluateCircuit({
      model,
      sites: [{ site: plantedSites[0], sae }],
      clean,
      metric: plantedMetric,
      nodes: [],
      signal: stop.signal,
      onProgress: () => stop.abort(),
    });
    await expect(running).rejects.toMatchObject({ code: "ABORTED" });
  });
});
