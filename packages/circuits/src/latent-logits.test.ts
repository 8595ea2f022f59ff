import { randomModel, replaceWith, splice } from "@latentkit/models";
import { add } from "@latentkit/tensor";
import { afterEach, describe, expect, it } from "vitest";
import { clean, randomSae, referenceDevice, smallModel } from "./__fixtures__/support.ts";
import { latentLogits } from "./latent-logits.ts";
import { latentsAt } from "./spliced-sites.ts";

const device = referenceDevice();

afterEach(() => expect(device.memory().liveBytes).toBe(0));

const site = "blocks.1.hook_resid_post";

describe("latentLogits", () => {
  it("is what adding to a latent does while the final scale is held", async () => {
    using model = smallModel(device, 41);
    using sae = randomSae(device, 42);
    const [prompt] = clean;
    const scaleSite = "ln_final.hook_scale";
    using plain = model.run([prompt!], { capture: [scaleSite], logits: "last" });
    const before = await plain.logits!.floats();
    const scale = (await plain.captured.get(scaleSite)!.floats()).at(-1)!;
    const latents = [3, 17];
    const found = await latentLogits(model, sae, { site, latents, topK: 20, scale });
    expect(found.map(({ latent }) => latent)).toEqual(latents);
    for (const { latent, promoted, suppressed, deviation } of found) {
      const bump = new Float32Array(sae.config.dSae);
      bump[latent] = 1;
      using vector = device.tensor(bump, [sae.config.dSae]);
      using run = model.run([prompt!], {
        edits: [
          splice(site, sae, { error: true }),
          { site: latentsAt(site), edit: (value) => add(value, vector) },
          { site: scaleSite, edit: replaceWith(plain.captured.get(scaleSite)!) },
        ],
        logits: "last",
      });
      const after = await run.logits!.floats();
      expect(promoted).toHaveLength(20);
      // Bound: the difference of two f32 logits of size 1 to 5.
      for (const { token, effect } of promoted)
        expect(Math.abs(effect - (after[token]! - before[token]!))).toBeLessThan(5e-6);
      expect(suppressed).toEqual(promoted.toReversed());
      const effects = promoted.map(({ effect }) => effect);
      expect(effects).toEqual(effects.toSorted((a, b) => b - a));
      const mean = effects.reduce((sum, effect) => sum + effect, 0) / 20;
      const variance = effects.reduce((sum, effect) => sum + (effect - mean) ** 2, 0) / 20;
      expect(deviation).toBeCloseTo(Math.sqrt(variance), 5);
    }
  });

  it("names targets, and measures the scale on prompts", async () => {
    using model = smallModel(device, 43);
    using sae = randomSae(device, 44);
    const targets = [7, 7, 0];
    const unscaled = await latentLogits(model, sae, { site, topK: 20, targets });
    const scaled = await latentLogits(model, sae, {
      site,
      topK: 3,
      targets,
      scale: { prompts: clean },
    });
    using run = model.run(clean, { capture: ["ln_final.hook_scale"], logits: "none" });
    const scales = await run.captured.get("ln_final.hook_scale")!.floats();
    const scale = scales.reduce((sum, one) => sum + one, 0) / scales.length;
    expect(unscaled).toHaveLength(sae.config.dSae);
    for (const [index, { promoted, targets: own }] of unscaled.entries()) {
      const byToken = new Map(promoted.map(({ token, effect }) => [token, effect]));
      expect(own).toEqual(targets.map((token) => ({ token, effect: byToken.get(token) })));
      expect(scaled[index]!.promoted.map(({ token }) => token)).toEqual(
        promoted.slice(0, 3).map(({ token }) => token),
      );
      expect(scaled[index]!.targets[0]!.effect).toBeCloseTo(byToken.get(7)! / scale, 6);
    }
  });

  it("gives in blocks what it gives at once, tells of progress, and stops on request", async () => {
    using model = smallModel(device, 45);
    using sae = randomSae(device, 46);
    const given = { site: "blocks.0.hook_mlp_out", topK: 2 };
    const all = await latentLogits(model, sae, given);
    const seen: number[] = [];
    const blocks = await latentLogits(model, sae, {
      ...given,
      batchSize: 8,
      onProgress({ done, total }) {
        expect(total).toBe(20);
        seen.push(done);
      },
    });
    expect(seen).toEqual([8, 16, 20]);
    expect(blocks).toEqual(all);
    const stop = new AbortController();
    const running = latentLogits(model, sae, {
      ...given,
      batchSize: 8,
      signal: stop.signal,
      onProgress: () => stop.abort(),
    });
    await expect(running).rejects.toMatchObject({ code: "ABORTED" });
  });

  it.each([
    [{}, "CIRCUIT_SITES"],
    [{ site: "blocks.0.ln2.hook_normalized" }, "LATENT_STREAM"],
    [{ site: "blocks.0.attn.hook_z" }, "LATENT_STREAM"],
    [{ site: "blocks.0.hook_resid" }, "SITE_UNKNOWN"],
    [{ site, latents: [20] }, "LATENT_UNKNOWN"],
    [{ site, scale: -1 }, "ANALYSIS_SCALE"],
    [{ site, scale: { prompts: [] } }, "CIRCUIT_PROMPTS"],
  ] as const)("refuses %j with %s", async (wrong, code) => {
    using model = smallModel(device, 47);
    using sae = randomSae(device, 48);
    await expect(latentLogits(model, sae, wrong)).rejects.toMatchObject({ code });
  });

  it("refuses an SAE of another width", async () => {
    using model = randomModel({ device, seed: 1 });
    using sae = randomSae(device, 48);
    await expect(latentLogits(model, sae, { site })).rejects.toMatchObject({
      code: "LATENT_WIDTH",
    });
  });
});
