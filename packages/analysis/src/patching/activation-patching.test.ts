// Patches one by one, against TransformerLens and by hand.
import { type LanguageModel, randomModel } from "@latentkit/models";
import { slice } from "@latentkit/tensor";
import fc from "fast-check";
import { afterEach, describe, expect, it } from "vitest";
import { clean, corrupt, goldenCase, metric, placeOf, values } from "../__fixtures__/patching.ts";
import { distance, openModel, referenceDevice } from "../__fixtures__/support.ts";
import { activationPatching } from "./activation-patching.ts";
import { attributionPatching } from "./attribution-patching.ts";
import { logitDifference, targetLogProbability } from "./metrics.ts";
import type { PatchSite } from "./patch-places.ts";

const device = referenceDevice();

afterEach(() => expect(device.memory().liveBytes).toBe(0));

describe.each(["llama", "gpt2"])("TransformerLens's tables of %s", (name) => {
  it.each([
    ["hook_resid_pre", "resid_pre"],
    ["hook_attn_out", "attn_out"],
    ["hook_mlp_out", "mlp_out"],
    ["attn.hook_z", "z"],
    ["attn.hook_pattern", "pattern"],
  ] as const)("are ours: %s", async (site, key) => {
    using model = await openModel(name, device);
    const { golden, ...prompts } = await goldenCase(name);
    const table = await activationPatching({ model, ...prompts, sites: [{ site }] });
    expect(distance(values(table), await golden.floats(`patch.${key}`))).toBeLessThan(1e-4);
    expect(distance([table.clean], await golden.floats("clean_metric"))).toBeLessThan(1e-4);
    expect(distance([table.corrupt], await golden.floats("corrupt_metric"))).toBeLessThan(1e-4);
    for (const row of table.rows)
      expect(row.normalised).toBeCloseTo(
        (row.value - table.corrupt) / (table.clean - table.corrupt),
        12,
      );
  });
});

describe("activationPatching", () => {
  const sites: readonly PatchSite[] = [
    { site: "hook_resid_pre" },
    { site: "hook_mlp_out", layers: [1], positions: [0, -1] },
    { site: "attn.hook_z", positions: "each" },
    { site: "attn.hook_k" },
    { site: "attn.hook_pattern", layers: [0], heads: [3, 1] },
    { site: "mlp.hook_post", positions: "all" },
  ];

  it("gives in batches what it gives one by one", async () => {
    using model = randomModel({ device, seed: 1 });
    const given = { model, clean, corrupt, metric, sites };
    const single = await activationPatching({ ...given, batchSize: 1 });
    expect(single.rows).toHaveLength(2 * 5 + 2 + 2 * 4 * 5 + 2 * model.config.kvHeads + 2 + 2);
    expect(new Set(values(single)).size).toBeGreaterThan(single.rows.length / 2);
    for (const batchSize of [3, 1000])
      expect(await activationPatching({ ...given, batchSize })).toEqual(single);
  });

  it("names each patch", async () => {
    using model = randomModel({ device, seed: 1 });
    const { rows } = await activationPatching({
      model,
      clean,
      corrupt,
      metric,
      sites: [
        { site: "attn.hook_z", layers: [1], heads: [2], positions: [-1] },
        { site: "hook_resid_mid", layers: [0], positions: "all" },
      ],
    });
    expect(rows.map(placeOf)).toEqual([
      { site: "blocks.1.attn.hook_z", layer: 1, position: 4, head: 2 },
      { site: "blocks.0.hook_resid_mid", layer: 0, position: null, head: null },
    ]);
  });

  it("restores the clean run where all of the stream is patched, and nothing where the prompts are equal", async () => {
    using model = randomModel({ device, seed: 2 });
    const all = [{ site: "hook_resid_pre", positions: "all" }] as const;
    const whole = await activationPatching({ model, clean, corrupt, metric, sites: all });
    expect(whole.rows.map(({ normalised }) => normalised)).toEqual([1, 1]);
    // The last position sees the corrupted one no more once the stream before it is clean; others were equal anyway.
    const early = await activationPatching({
      model,
      clean,
      corrupt,
      metric,
      sites: [{ site: "hook_resid_pre", layers: [0] }],
    });
    expect(early.rows.map(({ normalised }) => normalised)).toEqual([0, 1, 0, 0, 0]);
    const same = await activationPatching({ model, clean, corrupt: clean, metric, sites });
    for (const { value, normalised } of same.rows) {
      expect(value).toBeCloseTo(same.clean, 5);
      expect(normalised).toBeNaN();
    }
  });

  it("puts in the values of exactly one place", async () => {
    using model = randomModel({ device, seed: 3 });
    const { heads, layers } = model.config;
    const place = fc.record({
      site: fc.constantFrom("hook_resid_post", "attn.hook_q", "attn.hook_z", "mlp.hook_pre"),
      layer: fc.integer({ min: 0, max: layers - 1 }),
      position: fc.option(fc.integer({ min: 0, max: 4 })),
      head: fc.option(fc.integer({ min: 0, max: heads - 1 })),
    });
    await fc.assert(
      fc.asyncProperty(place, async ({ site, layer, position, ...rest }) => {
        const head = site.startsWith("attn") ? rest.head : null;
        const { rows } = await activationPatching({
          model,
          clean,
          corrupt,
          metric,
          sites: [
            {
              site,
              layers: [layer],
              positions: position === null ? "all" : [position],
              heads: head === null ? "all" : [head],
            },
          ],
        });
        const expected = await byHand(model, `blocks.${layer}.${site}`, position, head);
        expect(rows.map(({ value }) => value)).toEqual([expected]);
      }),
      { numRuns: 25 },
    );
  });

  it("shows all logits to a metric that asks for them", async () => {
    using model = randomModel({ device, seed: 4 });
    const first = targetLogProbability({ target: 3, position: 1 });
    const given = {
      model,
      clean,
      corrupt,
      metric: first,
      sites: [{ site: "hook_resid_pre" }] as const,
    };
    const table = await activationPatching({ ...given, logits: "all" });
    expect(table.rows[1]!.normalised).toBe(1);
    expect(table.rows[4]!.normalised).toBe(0);
    await expect(activationPatching(given)).rejects.toMatchObject({ code: "ANALYSIS_POSITION" });
  });

  it("tells of progress and stops on request", async () => {
    using model = randomModel({ device, seed: 4 });
    const stop = new AbortController();
    const seen: number[] = [];
    const running = activationPatching({
      model,
      clean,
      corrupt,
      metric,
      sites: [{ site: "hook_resid_pre" }],
      batchSize: 4,
      signal: stop.signal,
      onProgress({ done, total, unit }) {
        expect([total, unit]).toEqual([10, "patches"]);
        seen.push(done);
        if (done === 8) stop.abort();
      },
    });
    await expect(running).rejects.toMatchObject({ code: "ABORTED" });
    expect(seen).toEqual([4, 8]);
  });

  it.each([
    [{ corrupt: [[1, 2]] }, "PATCH_PROMPTS"],
    [{ corrupt: [...corrupt, [1, 2, 3, 4, 5]] }, "PATCH_PROMPTS"],
    [{ clean: [], corrupt: [] }, "PATCH_PROMPTS"],
    [{ sites: [{ site: "attn.hook_pattern", positions: "each" }] }, "PATCH_SITE"],
    [{ sites: [{ site: "hook_resid_pre", heads: "each" }] }, "PATCH_SITE"],
    [{ sites: [{ site: "attn.hook_z", heads: [4] }] }, "PATCH_SITE"],
    [{ sites: [{ site: "hook_resid_pre", positions: [5] }] }, "ANALYSIS_POSITION"],
    [{ sites: [{ site: "hook_resid_pre", layers: [2] }] }, "SITE_UNKNOWN"],
    [{ metric: logitDifference({ target: [1, 2, 3], contrast: 0 }) }, "ANALYSIS_TOKENS"],
    [{ integratedSteps: 0 }, "PATCH_STEPS"],
  ] as const)("refuses %j with %s", async (wrong, code) => {
    using model = randomModel({ device, seed: 4 });
    const given = {
      model,
      clean,
      corrupt,
      metric,
      sites: [{ site: "attn.hook_z" }],
      ...wrong,
    } as const;
    await expect(attributionPatching(given)).rejects.toMatchObject({ code });
    if (!("integratedSteps" in given))
      await expect(activationPatching(given)).rejects.toMatchObject({ code });
  });
});

/** The metric with a clean value's elements at one place, spliced on the host. */
async function byHand(
  model: LanguageModel,
  site: string,
  position: number | null,
  head: number | null,
): Promise<number> {
  const read = async (tokens: typeof clean) => {
    using run = model.run(tokens, { capture: [site], logits: "none" });
    const tensor = run.captured.get(site)!;
    return { values: await tensor.floats(), shape: tensor.shape };
  };
  const { values: source } = await read(clean);
  const { values: spliced, shape } = await read(corrupt);
  const [, length = 0, third = 0, fourth = 1] = shape;
  const byHead = shape.length === 4;
  for (const index of spliced.keys()) {
    const place = Math.floor(index / (third * fourth)) % length;
    const own = byHead ? Math.floor(index / fourth) % third : null;
    if ((position ?? place) === place && (head ?? own) === own) spliced[index] = source[index]!;
  }
  using replacement = device.tensor(spliced, shape);
  using result = device.scope(() => {
    const edits = [{ site, edit: () => replacement }];
    const { logits } = model.run(corrupt, { edits });
    return metric(slice(logits!, { axis: 1, start: 4, end: 5 }));
  });
  return result.item();
}
