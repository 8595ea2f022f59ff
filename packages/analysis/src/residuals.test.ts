// The residual stream as a sum, and what its parts add to logits.
import { blockSite, type LanguageModel, randomModel } from "@latentkit/models";
import { sum } from "@latentkit/tensor";
import fc from "fast-check";
import { afterEach, describe, expect, it } from "vitest";
import {
  distance,
  familyCases,
  openGolden,
  openModel,
  prompts,
  referenceDevice,
} from "./__fixtures__/support.ts";
import { accumulatedResiduals, decomposeResiduals } from "./decompose-residuals.ts";
import { directLogitAttribution } from "./direct-logit-attribution.ts";

const device = referenceDevice();
const tolerance = 1e-4;

afterEach(() => expect(device.memory().liveBytes).toBe(0));

async function streamAt(model: LanguageModel, site: string, tokens = prompts) {
  using run = model.run(tokens, { capture: [site], logits: "none" });
  return run.captured.get(site)!.floats();
}

async function summed(model: LanguageModel, options: { at?: string; heads?: boolean }) {
  using parts = decomposeResiduals(model, prompts, options);
  using total = device.scope(() => sum(parts.values, { axis: 0 }));
  return total.floats();
}

describe.each(familyCases)("%s", (name) => {
  it("has a stream that is the sum of its components, of heads too, at every residual site", async () => {
    using model = await openModel(name, device);
    const sites = model.sites().filter((site) => site.name.includes("hook_resid"));
    expect(sites.length).toBeGreaterThanOrEqual(4);
    for (const { name: at } of sites) {
      const expected = await streamAt(model, at);
      for (const heads of [false, true])
        expect(distance(await summed(model, { at, heads }), expected), at).toBeLessThan(1e-5);
    }
  });

  it.each([false, true])("has logits that their contributions sum to, heads %s", async (heads) => {
    using model = await openModel(name, device);
    const { vocabulary, logitSoftCap: cap } = model.config;
    const target = [7, 30];
    const contrast = [21, 2];
    using run = model.run(prompts);
    const logits = await run.logits!.floats();
    for (const position of [-1, 4]) {
      const at = (row: number, token: number) => {
        const place = position < 0 ? position + 12 : position;
        const logit = logits[(row * 12 + place) * vocabulary + token]!;
        return cap === undefined ? logit : cap * Math.atanh(logit / cap);
      };
      const one = await directLogitAttribution(model, prompts, { target, position, heads });
      const two = await directLogitAttribution(model, prompts, {
        target,
        contrast,
        position,
        heads,
      });
      for (const row of [0, 1]) {
        const total = (given: typeof one) =>
          given.rows[row]!.contributions.reduce((all, value) => all + value, given.rows[row]!.bias);
        expect(Math.abs(total(one) - at(row, target[row]!))).toBeLessThan(tolerance);
        expect(Math.abs(one.rows[row]!.total - total(one))).toBeLessThan(tolerance);
        const difference = at(row, target[row]!) - at(row, contrast[row]!);
        expect(Math.abs(total(two) - difference)).toBeLessThan(tolerance);
      }
    }
  });
});

describe.each(["llama", "gpt2"])("TransformerLens's %s", (name) => {
  it("has the same decomposition, growth and heads", async () => {
    using model = await openModel(name, device);
    const golden = await openGolden(name);
    const tokens = await golden.tokens("clean");
    {
      using parts = decomposeResiduals(model, tokens);
      const labels = parts.components.map(({ label }) => label);
      const before = name === "gpt2" ? ["embed", "pos_embed"] : ["embed"];
      expect(labels).toEqual([...before, "0_attn_out", "0_mlp_out", "1_attn_out", "1_mlp_out"]);
      expect(distance(await parts.values.floats(), await golden.floats("decomposed"))).toBeLessThan(
        tolerance,
      );
    }
    {
      using grown = accumulatedResiduals(model, tokens);
      expect(
        distance(await grown.values.floats(), await golden.floats("accumulated")),
      ).toBeLessThan(tolerance);
    }
    using parts = decomposeResiduals(model, tokens, { heads: true });
    const values = await parts.values.floats();
    const size = values.length / parts.components.length;
    const heads = parts.components.flatMap(({ kind }, index) =>
      kind === "head" ? [...values.subarray(index * size, (index + 1) * size)] : [],
    );
    expect(distance(heads, await golden.floats("heads"))).toBeLessThan(tolerance);
  });

  it("has the same attribution of a logit difference", async () => {
    using model = await openModel(name, device);
    const golden = await openGolden(name);
    const tokens = await golden.tokens("clean");
    const [target, contrast] = await Promise.all(
      ["target", "contrast"].map(async (key) => (await golden.tokens(key)).flat()),
    );
    const options = { target: target!, contrast: contrast! };
    for (const [heads, key] of [
      [false, "attribution"],
      [true, "attribution_heads"],
    ] as const) {
      const found = await directLogitAttribution(model, tokens, { ...options, heads });
      const values = found.components.flatMap(({ kind }, index) =>
        !heads || kind === "head" ? found.rows.map((row) => row.contributions[index]!) : [],
      );
      expect(distance(values, await golden.floats(key)), key).toBeLessThan(tolerance);
    }
  });
});

it("shows the stream between attention and MLP where there is such a place", async () => {
  using model = await openModel("llama", device);
  {
    using grown = accumulatedResiduals(model, prompts, { mid: true });
    expect(grown.sites).toEqual([
      ...[0, 1].flatMap((layer) => [
        blockSite(layer, "hook_resid_pre"),
        blockSite(layer, "hook_resid_mid"),
      ]),
      "blocks.1.hook_resid_post",
    ]);
    const values = await grown.values.floats();
    const size = values.length / 5;
    for (const [index, site] of grown.sites.entries())
      expect(values.subarray(index * size, (index + 1) * size)).toEqual(
        await streamAt(model, site),
      );
  }
  using parallel = await openModel("gpt-neox", device);
  expect(() => accumulatedResiduals(parallel, prompts, { mid: true })).toThrow(
    expect.objectContaining({ code: "SITE_UNKNOWN" }),
  );
});

it("sums to the stream whatever the sizes", async () => {
  const shape = fc.record({
    layers: fc.integer({ min: 1, max: 3 }),
    kvHeads: fc.integer({ min: 1, max: 2 }),
    group: fc.integer({ min: 1, max: 3 }),
    pairs: fc.integer({ min: 1, max: 3 }),
    dModel: fc.integer({ min: 1, max: 9 }),
    length: fc.integer({ min: 1, max: 5 }),
    batch: fc.integer({ min: 1, max: 3 }),
  });
  await fc.assert(
    fc.asyncProperty(shape, async ({ kvHeads, group, pairs, length, batch, ...sizes }) => {
      const config = { ...sizes, kvHeads, heads: kvHeads * group, dHead: 2 * pairs, dMlp: 5 };
      using model = randomModel({ device, seed: 3, config });
      const tokens = Array.from({ length: batch }, (_, row) =>
        Array.from({ length }, (__, place) => (row * 7 + place * 3) % 256),
      );
      using parts = decomposeResiduals(model, tokens, { heads: true });
      using total = device.scope(() => sum(parts.values, { axis: 0 }));
      const expected = await streamAt(model, `blocks.${sizes.layers - 1}.hook_resid_post`, tokens);
      expect(distance(await total.floats(), expected)).toBeLessThan(1e-5);
    }),
    { numRuns: 20 },
  );
});

it("refuses sites outside the stream, and tokens and positions that there are not", async () => {
  using model = await openModel("llama", device);
  expect(() => decomposeResiduals(model, prompts, { at: "blocks.0.attn.hook_z" })).toThrow(
    expect.objectContaining({
      code: "ANALYSIS_SITE",
      fix: expect.stringContaining("blocks.1.hook_resid_post"),
    }),
  );
  expect(() => decomposeResiduals(model, prompts, { at: "blocks.0.hook_attn_out" })).toThrow(
    expect.objectContaining({ code: "ANALYSIS_SITE" }),
  );
  const attribute = (options: Parameters<typeof directLogitAttribution>[2]) =>
    directLogitAttribution(model, prompts, options);
  await expect(attribute({ target: 43 })).rejects.toThrow(
    /target has 43, and the vocabulary has 43/u,
  );
  await expect(attribute({ target: [1, 2, 3] })).rejects.toThrow(/3 tokens for 2 rows/u);
  await expect(attribute({ target: 1, contrast: -1 })).rejects.toMatchObject({
    code: "ANALYSIS_TOKENS",
  });
  await expect(attribute({ target: 1, position: 12 })).rejects.toMatchObject({
    code: "ANALYSIS_POSITION",
  });
});
