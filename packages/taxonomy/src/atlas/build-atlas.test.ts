import { AbortedError, LatentkitError, MismatchError, type ProgressEvent } from "@latentkit/core";
import { Sae } from "@latentkit/sae";
import { createReferenceBackend, Device } from "@latentkit/tensor";
import { registerMatchers } from "@latentkit/tensor/testing";
import { afterAll, describe, expect, it } from "vitest";
import { historyOf, plant, world } from "../__fixtures__/planted.ts";
import type { AtlasResult } from "../atlas-result.ts";
import { parseAtlasResult } from "../schema.ts";
import { buildAtlas } from "./build-atlas.ts";
import type { BuildAtlasOptions } from "./options.ts";

registerMatchers(expect);
const device = new Device(createReferenceBackend());
const planted = plant(device);
const base: BuildAtlasOptions = {
  model: planted.model,
  sae: planted.sae,
  store: planted.store,
  history: historyOf(true),
  seed: 5,
  now: () => new Date(0),
  settings: { sparseSample: 30, randomDirections: 64, alphabetTokens: 20 },
};
afterAll(() => {
  planted.sae.dispose();
  planted.model.dispose();
});

describe("buildAtlas on a planted world", async () => {
  const before = device.memory().liveBytes;
  const events: ProgressEvent[] = [];
  const result = await buildAtlas({ ...base, onProgress: (event) => events.push(event) });
  const find = (latent: number): AtlasResult["latents"][number] => {
    const found = result.latents.find((entry) => entry.latent === latent);
    if (found === undefined) throw new TypeError(`latent ${latent} is not dense`);
    return found;
  };

  it("keeps no device memory and tells how far it is", () => {
    expect(device.memory().liveBytes).toBe(before);
    expect(new Set(events.map((event) => event.stage))).toContain("antipodality");
  });

  it("counts exactly what was planted, the sinks left out", () => {
    expect(result.corpus).toMatchObject({
      tokens: planted.tokens,
      documents: world.documents,
      contexts: 2 * world.documents,
      masked: { "first position": 2 * world.documents, "outsized norm": 0 },
    });
    expect(result.latents.map((entry) => entry.latent).toSorted((a, b) => a - b)).toEqual([
      0, 1, 2, 3, 4, 5,
    ]);
    for (const entry of result.latents) {
      const density = (planted.firings[entry.latent] ?? 0) / planted.tokens;
      expect(entry.density).toBeCloseTo(density, 5);
      expect(entry.low).toBeLessThan(density);
      expect(entry.high).toBeGreaterThan(density);
    }
    expect(result.density.dead).toBe(
      Array.from(planted.firings).filter((count) => count === 0).length,
    );
    expect(
      result.density.histogram.reduce((sum, bin) => sum + bin.count, 0) + result.density.dead,
    ).toBe(world.n);
    const l0 = planted.firings.reduce((sum, count) => sum + count, 0) / planted.tokens;
    expect(result.metrics.find((metric) => metric.id === "l0")?.value).toBeCloseTo(l0, 4);
  });

  it("finds the three antipodal pairs, which never fire together", () => {
    expect(result.antipodality).toMatchObject({ strongDense: 6, strongPairs: 3 });
    for (const entry of result.latents) {
      expect(entry).toMatchObject({ partner: entry.latent ^ 1, mutual: true, coFiring: 0 });
      expect([
        entry.score,
        entry.negativeScore,
        entry.encoderCosine,
        entry.decoderCosine,
      ]).toBeClose([1, 1, -1, -1], { rtol: 1e-4, atol: 0 });
      expect(entry.coFiringExpected).toBeGreaterThan(0.05);
    }
    const sparse = result.antipodality.points.filter((point) => !point.dense);
    expect(sparse).toHaveLength(30);
    expect(Math.max(...sparse.map((point) => point.score))).toBeLessThan(0.5);
    expect(result.antipodality.heatMap.cosines[0]?.[0]).toBeCloseTo(1, 4);
  });

  it("gives each pair the class that was planted, and no false positives", () => {
    expect([0, 1].map((latent) => find(latent).primary)).toEqual(["pca", "pca"]);
    expect(find(0).tests.pca.cosine).toBeCloseTo(-find(1).tests.pca.cosine, 5);
    expect([4, 5].map((latent) => find(latent).labels)).toEqual([["nullspace"], ["nullspace"]]);
    expect([2, 3].map((latent) => find(latent).labels)).toEqual([[], []]);
    expect(result.classes.map((entry) => [entry.id, entry.dense.passed, entry.pairs])).toEqual([
      ["pca", 2, 1],
      ["nullspace", 2, 1],
      ["alphabet", 0, 0],
    ]);
    for (const entry of result.classes) {
      expect(entry.sparse).toEqual({ passed: 0, tested: 30 });
      expect(entry.random.tested).toBe(64);
      expect(entry.random.passed).toBeLessThanOrEqual(1);
    }
    expect(result.labelling.status).toBe("given");
  });

  it("shows contexts with the text of their tokens, and peaks where they say", () => {
    for (const entry of result.latents) {
      expect(entry.contexts.filter((context) => context.kind === "top")).toHaveLength(5);
      expect(entry.contexts.filter((context) => context.kind === "sample")).toHaveLength(3);
      expect(entry.contexts[0]?.activations[entry.contexts[0].peak]).toBe(entry.maximum);
      for (const context of entry.contexts) {
        expect(context.texts).toHaveLength(context.activations.length);
        expect(context.document).toMatch(/^document-\d+$/);
        expect(context.activations[context.peak]).toBeGreaterThan(0);
      }
      expect(entry.promoted).toHaveLength(12);
      expect(entry.promoted.some((token) => token.text.includes("special"))).toBe(false);
    }
  });

  it("is JSON that its own schema reads back", () => {
    expect(parseAtlasResult(JSON.parse(JSON.stringify(result)))).toEqual(result);
  });

  it("is the same for the same seed", async () => {
    expect(await buildAtlas(base)).toEqual(result);
  });

  it("withholds labels from an SAE that was still moving, with the reason, and keeps the statistics", async () => {
    const withheld = await buildAtlas({ ...base, history: historyOf(false) });
    expect(withheld.labelling).toMatchObject({ status: "withheld" });
    expect(withheld.labelling.reason).toContain("dense count went from");
    expect(
      withheld.latents.every((entry) => entry.labels.length === 0 && entry.primary === null),
    ).toBe(true);
    expect(withheld.classes[0]?.dense.passed).toBe(2);
  });

  it("flags labels where no history is known", async () => {
    const unknown = await buildAtlas({ ...base, history: null });
    expect(unknown.labelling.status).toBe("unverified");
    expect(unknown.labelling.reason).toContain("unknown history");
    expect(unknown.latents.some((entry) => entry.primary === "pca")).toBe(true);
    expect(unknown.training).toBeNull();
  });

  it("describes the densest first where there are too many", async () => {
    const short = await buildAtlas({ ...base, settings: { ...base.settings, maximumLatents: 2 } });
    expect(short.latents.map((entry) => entry.latent)).toEqual(
      result.latents.slice(0, 2).map((entry) => entry.latent),
    );
    expect(short.omitted).toBe(4);
    expect(short.density.dense).toBe(6);
  });
});

describe("buildAtlas refuses", () => {
  const otherSae = (dIn: number, hookName: string): Sae =>
    Sae.fromWeights(
      device,
      { architecture: "topk", k: 1, dIn, dSae: 4, metadata: { hookName } },
      {
        encoderRows: new Float32Array(4 * dIn),
        decoder: new Float32Array(4 * dIn),
        encoderBias: new Float32Array(4),
        decoderBias: new Float32Array(dIn),
        threshold: null,
      },
    );

  it.each([
    ["an SAE of another width", 32, "blocks.1.hook_resid_post", "ATLAS_WIDTH"],
    ["an SAE of another site", 64, "blocks.0.hook_resid_post", "ATLAS_SITE"],
  ])("%s", async (_name, dIn, site, code) => {
    using sae = otherSae(dIn, site);
    await expect(buildAtlas({ ...base, sae })).rejects.toMatchObject({ code });
  });

  it("activations of another model, an empty split, settings out of range, and an abort", async () => {
    const store = {
      ...planted.store,
      manifest: {
        ...planted.store.manifest,
        model: { ...planted.store.manifest.model, weightsHash: "other" },
      },
    };
    await expect(buildAtlas({ ...base, store })).rejects.toThrow(MismatchError);
    await expect(buildAtlas({ ...base, split: "train" })).rejects.toMatchObject({
      code: "ATLAS_NO_TOKENS",
    });
    await expect(buildAtlas({ ...base, settings: { denseThreshold: 1.5 } })).rejects.toMatchObject({
      code: "ATLAS_SETTINGS",
    });
    await expect(buildAtlas({ ...base, signal: AbortSignal.abort() })).rejects.toThrow(
      AbortedError,
    );
  });

  it("a result file of another kind, naming the field", () => {
    expect(() =>
      parseAtlasResult({ kind: "latentkit.atlas", schemaVersion: 2 }, "result.json"),
    ).toThrow(LatentkitError);
    expect(() => parseAtlasResult({ kind: "latentkit.atlas", schemaVersion: 2 })).toThrow(
      "schemaVersion",
    );
  });
});
