// Against what ablation really does, where that must be equal.
import { replaceWith, splice } from "@latentkit/models";
import type { Sae } from "@latentkit/sae";
import { concat } from "@latentkit/tensor";
import fc from "fast-check";
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
import { evaluateCircuit } from "./evaluate-circuit.ts";
import { latentAttribution, type LatentAttribution } from "./latent-attribution.ts";
import { rankNodes } from "./rank-nodes.ts";
import { latentSite } from "./spliced-sites.ts";

const device = referenceDevice();

afterEach(() => expect(device.memory().liveBytes).toBe(0));

const site = "blocks.0.hook_resid_post";

describe.each(["jumprelu", "topk"] as const)(
  "a %s SAE where the logits are linear",
  (architecture) => {
    it.each([
      ["zero ablation", "zero"],
      ["corrupt prompts", { corrupt }],
      ["means", { mean: [...clean, ...corrupt], positions: "each" }],
    ] as const)("has the effects that ablation has: %s", async (_, baseline) => {
      using model = smallModel(device, 1);
      using sae = randomSae(device, 2, architecture);
      const sites = [{ site: "ln_final.hook_normalized", sae }];
      const given = { model, sites, clean, metric, baseline };
      const attribution = await latentAttribution(given);
      const nodes = rankNodes(attribution, { resamples: 0 });
      expect(nodes.length).toBeGreaterThan(5);
      expect(nodes.some(({ latent }) => latent === null)).toBe(true);
      // Only the last position's logits are measured.
      expect(new Set(nodes.map(({ position }) => position))).toEqual(new Set([4]));
      for (const node of nodes) {
        const { metric: found } = await evaluateCircuit({ ...given, nodes: [node], resamples: 0 });
        // Bound: f32 rounding of logits of size 1 to 3.
        expect(Math.abs(found.complement - found.model - node.effect)).toBeLessThan(2e-6);
      }
      const [first] = attribution.sites;
      const whole = sum(first!.effects) + sum(first!.errorEffects!);
      expect(Math.abs(whole - sum(first!.together))).toBeLessThan(1e-5);
    });
  },
);

/** How far the effects of each site's nodes are from what patching all of them does, over rows. */
function gaps({ sites, rows, length }: LatentAttribution): number[] {
  return sites.flatMap(({ effects, errorEffects, latents, together }) =>
    Array.from({ length: rows }, (_, row) => {
      const part = (values: Float32Array | null, count: number) =>
        sum(values?.subarray(row * count, (row + 1) * count) ?? []);
      const added = part(effects, length * latents) + part(errorEffects, length);
      return Math.abs(added - together[row]!);
    }),
  );
}

describe("integrated gradients", () => {
  it("add up to patching the whole site, with or without the error, as steps grow", async () => {
    using model = smallModel(device, 3);
    using first = randomSae(device, 4);
    using second = randomSae(device, 5, "topk");
    const sites = [
      { site, sae: first },
      { site: "blocks.1.hook_attn_out", sae: second },
    ];
    for (const error of ["node", "kept"] as const) {
      const at = async (integratedSteps?: number) =>
        latentAttribution({
          model,
          sites,
          clean,
          metric,
          error,
          integratedSteps,
          baseline: { corrupt },
        });
      const plain = Math.max(...gaps(await at()));
      const few = Math.max(...gaps(await at(4)));
      const many = Math.max(...gaps(await at(32)));
      expect(plain).toBeGreaterThan(0.01);
      expect(few).toBeLessThan(plain / 4);
      // The middle rule: 8 times the steps, 64 times less, down to rounding.
      expect(many).toBeLessThan(Math.max(few / 20, 1e-5));
      expect(many).toBeLessThan(1e-3);
    }
  });

  it("are the gradient's effects, and add up exactly, where the metric is linear: for any prompts, lengths and steps", async () => {
    using sae = randomSae(device, 6);
    const prompts = fc
      .integer({ min: 1, max: 6 })
      .chain((size) =>
        fc.tuple(
          ...[0, 1].map(() =>
            fc.array(fc.integer({ min: 0, max: 19 }), { minLength: size, maxLength: size }),
          ),
        ),
      );
    const steps = fc.integer({ min: 1, max: 3 });
    await fc.assert(
      fc.asyncProperty(fc.nat(99), prompts, steps, async (seed, rows, integratedSteps) => {
        using model = smallModel(device, seed);
        const sites = [{ site: "ln_final.hook_normalized", sae }];
        const given = { model, sites, clean: rows, metric };
        const plain = await latentAttribution(given);
        const integrated = await latentAttribution({ ...given, integratedSteps });
        // Bound: f32 sums of some 20 products of size 1 to 10.
        for (const found of [plain, integrated])
          expect(Math.max(...gaps(found))).toBeLessThan(2e-5);
        for (const [index, effect] of plain.sites[0]!.effects.entries())
          expect(Math.abs(integrated.sites[0]!.effects[index]! - effect)).toBeLessThan(1e-5);
      }),
      { numRuns: 12 },
    );
  });
});

describe("latentAttribution", () => {
  it("without errors explains the model with reconstructions in it", async () => {
    using model = smallModel(device, 7);
    using sae = randomSae(device, 8);
    const given = { model, sites: [{ site, sae }], clean, metric, error: "none" } as const;
    const found = await latentAttribution({ ...given, integratedSteps: 64 });
    using run = model.run(clean, { edits: [splice(site, sae)], logits: "last" });
    using expected = metric(run.logits!);
    expect(found.clean).toEqual([...(await expected.floats())]);
    expect(found.sites[0]!.errorEffects).toBeNull();
    // With all latents at 0 a reconstruction is b_dec.
    using bare = model.run(clean, {
      edits: [{ site, edit: replaceWith(sae.decoderBias) }],
      logits: "last",
    });
    using empty = metric(bare.logits!);
    for (const [row, value] of (await empty.floats()).entries())
      expect(found.sites[0]!.together[row]).toBeCloseTo(value - found.clean[row]!, 5);
  });

  it("gives each prompt the effects that it has alone", async () => {
    using model = smallModel(device, 9);
    using sae = randomSae(device, 10);
    const sites = [{ site, sae }];
    const both = await latentAttribution({ model, sites, clean, metric, baseline: { corrupt } });
    const size = both.length * both.sites[0]!.latents;
    for (const row of [0, 1]) {
      const alone = await latentAttribution({
        model,
        sites,
        clean: [clean[row]!],
        baseline: { corrupt: [corrupt[row]!] },
        // The same logits for both rows: the metric's own one of them, as a tensor of one element.
        metric: (logits) => metric(concat([logits, logits], { axis: 0 })).rows(row, row + 1),
      });
      const expected = both.sites[0]!.effects.subarray(row * size, (row + 1) * size);
      for (const [index, effect] of alone.sites[0]!.effects.entries())
        expect(effect).toBeCloseTo(expected[index]!, 5);
    }
  });

  it("reads where SAEs belong from their metadata", () => {
    using sae = randomSae(device, 1);
    expect(() => latentSite(sae)).toThrow(expect.objectContaining({ code: "CIRCUIT_SITES" }));
    const named = (metadata: object) => ({ ...sae, config: { ...sae.config, metadata } }) as Sae;
    const reads = "blocks.3.ln2.hook_normalized";
    expect(latentSite(named({ hookName: site }))).toMatchObject({ site });
    expect(
      latentSite(named({ hookName: reads, hookNameOut: "blocks.3.hook_mlp_out" })),
    ).toMatchObject({
      site: "blocks.3.hook_mlp_out",
      from: reads,
    });
  });

  it.each([
    [{ sites: [] }, "CIRCUIT_SITES"],
    [{ clean: [[1, 2], [1]] }, "CIRCUIT_PROMPTS"],
    [{ clean: [] }, "CIRCUIT_PROMPTS"],
    [{ baseline: { corrupt: [[1, 2, 3, 4, 5]] } }, "CIRCUIT_PROMPTS"],
    [{ baseline: { mean: [[1, 2]], positions: "each" } }, "CIRCUIT_PROMPTS"],
    [{ baseline: { mean: [] } }, "CIRCUIT_PROMPTS"],
    [{ integratedSteps: 1.5 }, "CIRCUIT_STEPS"],
    [{ metric: (logits: { readonly shape: readonly number[] }) => logits }, "CIRCUIT_METRIC"],
  ] as const)("refuses %j with %s", async (wrong, code) => {
    using model = smallModel(device, 1);
    using sae = randomSae(device, 2);
    // Wrong on purpose.
    const given = { model, sites: [{ site, sae }], clean, metric, ...wrong } as Parameters<
      typeof latentAttribution
    >[0];
    await expect(latentAttribution(given)).rejects.toMatchObject({ code });
  });

  it("refuses a site twice or unknown, tells of progress, and stops on request", async () => {
    using model = smallModel(device, 1);
    using sae = randomSae(device, 2);
    const given = { model, clean, metric };
    const twofold = [
      { site, sae },
      { site, sae },
    ];
    await expect(latentAttribution({ ...given, sites: twofold })).rejects.toMatchObject({
      code: "CIRCUIT_SITES",
    });
    await expect(
      latentAttribution({ ...given, sites: [{ site: "blocks.9.hook_resid_post", sae }] }),
    ).rejects.toMatchObject({ code: "SITE_UNKNOWN" });
    const stop = new AbortController();
    const sites = [
      { site, sae },
      { site: "blocks.1.hook_resid_post", sae },
    ];
    const seen: string[] = [];
    const running = latentAttribution({
      ...given,
      sites,
      signal: stop.signal,
      onProgress({ done, total, unit }) {
        seen.push(`${done} of ${total} ${unit}`);
        stop.abort();
      },
    });
    await expect(running).rejects.toMatchObject({ code: "ABORTED" });
    expect(seen).toEqual(["1 of 2 sites"]);
  });
});

describe("rankNodes", () => {
  it("adds positions up, and has the interval of the mean over prompts", async () => {
    using model = smallModel(device, 11);
    using sae = randomSae(device, 12);
    const attribution = await latentAttribution({ model, sites: [{ site, sae }], clean, metric });
    const each = rankNodes(attribution, { seed: 3 });
    const together = rankNodes(attribution, { positions: "together", seed: 3 });
    expect(together.length).toBeLessThan(each.length);
    expect(each.length).toBeLessThan(allNodes(site, 20, true).length);
    for (const node of together) {
      const own = each.filter(({ latent }) => latent === node.latent);
      expect(node.effect).toBeCloseTo(sum(own.map(({ effect }) => effect)), 6);
      // Of two prompts, a quarter of all resamples is the one twice: the ends are the prompts' own values.
      expect(node.interval![0]).toBeLessThanOrEqual(node.effect);
      expect((node.interval![0] + node.interval![1]) / 2).toBeCloseTo(node.effect, 6);
    }
    const sizes = each.map(({ effect }) => Math.abs(effect));
    expect(sizes).toEqual(sizes.toSorted((a, b) => b - a));
    expect(rankNodes(attribution, { threshold: sizes[4]!, limit: 3 })).toHaveLength(3);
    expect(rankNodes(attribution, { threshold: sizes[4]! })).toHaveLength(5);
    expect(() => rankNodes(attribution, { threshold: -1 })).toThrow(
      expect.objectContaining({ code: "CIRCUIT_THRESHOLD" }),
    );
  });
});
