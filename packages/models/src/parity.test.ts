// Every family against transformers, in f32 on the CPU device; see oracles/models/families.py.
import { openCpuDevice } from "@latentkit/backend-cpu";
import { add, concat, type Device, mul, type Tensor, linear, tanh } from "@latentkit/tensor";
import { readFileSync } from "node:fs";
import * as z from "zod";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  configOf,
  measureParity,
  openCase,
  openGolden,
  parityCases,
  type ParityRow,
} from "./__fixtures__/parity.ts";
import { deviation, read } from "./__fixtures__/support.ts";
import { architectures } from "./config.ts";
import { families } from "./families/index.ts";
import type { SiteEdit } from "./hook-run.ts";
import { LanguageModel } from "./language-model.ts";
import { parseConfig } from "./parse-config.ts";

const tolerance = 1e-4;

/** What a configuration may have beyond sizes, and what makes another model when it is left out. */
const features = [
  "ropeScaling",
  "dRotary",
  "localRopeBase",
  "slidingWindow",
  "slidingLayers",
  "attentionScale",
  "scaleByLayer",
  "scoreSoftCap",
  "logitSoftCap",
  "activation",
  "attentionBias",
  "mlpBias",
  "parallelResidual",
] as const;

const lensSites = z
  .record(z.string(), z.array(z.string()))
  .parse(
    JSON.parse(readFileSync(new URL("__fixtures__/lens-sites.json", import.meta.url), "utf8")),
  );

function scaleBy(site: string, factor: number): SiteEdit {
  return { site, edit: (value) => mul(value, factor) };
}

let device: Device;
beforeAll(async () => {
  device = await openCpuDevice({ threads: 1 });
});
afterAll(() => {
  expect(device.memory().liveBytes).toBe(0);
  device.dispose();
});

it("has a case of every architecture", async () => {
  const configs = await Promise.all(parityCases.map(async (name) => configOf(name, "v5")));
  const tested = new Set(configs.map((config) => config["model_type"]));
  expect(tested).toEqual(new Set(architectures));
});

it("has a row in the documentation for each case, as near as it has to be", () => {
  const url = new URL("../../../docs/reference/model-parity.md", import.meta.url);
  const rows = readFileSync(url, "utf8")
    .split("\n")
    .filter((line) => line.startsWith("| `") && !line.includes("model_type"))
    .map((line) => line.split("|").map((cell) => cell.trim()));
  expect(new Set(rows.map(([, , name]) => name))).toEqual(new Set(parityCases));
  expect(rows).toHaveLength(parityCases.length);
  for (const [, , name, ...figures] of rows) {
    const values = figures.slice(0, 6).map(Number);
    expect(values, name).toHaveLength(6);
    expect(Math.max(...values), name).toBeLessThan(tolerance);
  }
});

describe.each(parityCases)("%s", (name) => {
  let golden: Awaited<ReturnType<typeof openGolden>>["golden"];
  let tokens: number[][];
  let model: LanguageModel;
  let row: ParityRow;

  beforeAll(async () => {
    ({ golden, tokens } = await openGolden(name));
    row = await measureParity(name, device);
    model = await openCase(name, device, "stored");
  });
  afterAll(() => model.dispose());

  it("has transformers' logits, sites, patterns, loss and gradients", () => {
    const far = [...row.each].filter(([, value]) => !(value < tolerance));
    expect(far).toEqual([]);
    // Nothing of the golden was passed over.
    const compared = golden.names().filter((key) => key !== "tokens" && key !== "greedy");
    expect(new Set(row.each.keys())).toEqual(new Set(compared));
  });

  it("has TransformerLens's sites in its order, and logits", () => {
    // Of each head's result, after `hook_z`, it has a site too, which it comes by where `use_attn_result` is on.
    const expected = (lensSites[name] ?? []).flatMap((site) =>
      site.endsWith("hook_z") ? [site, site.replace("hook_z", "hook_result")] : [site],
    );
    expect(model.sites().map((site) => site.name)).toEqual([...expected, "logits"]);
    // All but these have their values in the golden.
    const without = model
      .sites()
      .filter((site) => !golden.has(site.name))
      .map((site) => site.name.split(".").at(-1) ?? "");
    const { positions } = families[model.config.architecture].layout(model.config);
    const rotations = positions === "rotary" ? ["hook_rot_q", "hook_rot_k"] : [];
    expect(new Set(without)).toEqual(new Set(["hook_attn_scores", "hook_result", ...rotations]));
  });

  it("has heads' results that add up to what attention gives, each of its own z alone", async () => {
    const at = "blocks.1.attn.";
    const [mixed, result] = [`${at}hook_z`, `${at}hook_result`];
    const whole = await read(model, tokens, { capture: [mixed, result, "blocks.1.hook_attn_out"] });
    const fused = await read(model, tokens, { capture: ["blocks.1.hook_attn_out"] });
    expect(
      deviation(whole.at("blocks.1.hook_attn_out"), fused.at("blocks.1.hook_attn_out")),
    ).toBeLessThan(1e-5);
    const { heads, dModel } = model.config;
    const only = (kept: number): SiteEdit => ({
      site: mixed,
      edit: (value) =>
        mul(
          value,
          device.tensor(
            Float32Array.from({ length: heads }, (_, head) => Number(head === kept)),
            [heads, 1],
          ),
        ),
    });
    for (let head = 0; head < heads; head++) {
      const alone = await read(model, tokens, { edits: [only(head)], capture: [result] });
      const expected = whole
        .at(result)
        .map((x, index) => (Math.floor(index / dModel) % heads === head ? x : 0));
      expect(deviation(alone.at(result), expected)).toBeLessThan(1e-6);
    }
  });

  it.each(["left", "right"] as const)(
    "reads rows of different lengths, padded on the %s, as each alone",
    async (padding) => {
      const [first = [], second = []] = tokens;
      const rows = [first.slice(0, 5), second, first.slice(3, 4)];
      const { vocabulary } = model.config;
      const together = await read(model, rows, { padding });
      const last = await read(model, rows, { padding, logits: "last" });
      for (const [index, ids] of rows.entries()) {
        const alone = await read(model, [ids]);
        const start = index * second.length + (padding === "left" ? second.length - ids.length : 0);
        const found = together.logits.subarray(
          start * vocabulary,
          (start + ids.length) * vocabulary,
        );
        expect(deviation(found, alone.logits)).toBeLessThan(1e-5);
        expect(
          deviation(
            last.logits.subarray(index * vocabulary, (index + 1) * vocabulary),
            alone.logits.subarray((ids.length - 1) * vocabulary),
          ),
        ).toBeLessThan(1e-5);
      }
    },
  );

  it("comes by its sites in the order of the list, with the shapes it says", () => {
    const sites = model.sites();
    using result = model.run(tokens, { capture: sites.map((site) => site.name) });
    expect([...result.captured.keys()]).toEqual(sites.map((site) => site.name));
    for (const { name: site, shape, width } of sites) {
      const given = result.captured.get(site)?.shape ?? [];
      expect(given, site).toHaveLength(shape.length);
      if (shape[1] === "pos")
        expect(
          given.slice(2).reduce((product, count) => product * count, 1),
          site,
        ).toBe(width);
    }
  });

  it("shows the same at each site asked for alone, stopping there", async () => {
    const sites = model.sites().map((site) => site.name);
    const all = await read(model, tokens, { capture: sites });
    for (const site of sites) {
      const { at } = await read(model, tokens, { capture: [site], logits: "none" });
      expect(deviation(at(site), all.at(site)), site).toBeLessThan(1e-5);
    }
  });

  it("computes the last position's logits alone", async () => {
    const all = await read(model, tokens);
    const last = await read(model, tokens, { logits: "last" });
    const { vocabulary } = model.config;
    const length = tokens[0]?.length ?? 0;
    const expected = Float32Array.from(
      tokens.flatMap((_, index) => [
        ...all.logits.subarray(
          ((index + 1) * length - 1) * vocabulary,
          (index + 1) * length * vocabulary,
        ),
      ]),
    );
    expect(deviation(last.logits, expected)).toBeLessThan(1e-5);
  });

  it("decodes with a cache what it computes without one, beyond every window", async () => {
    const whole = await read(model, tokens);
    using cache = model.createCache({ batch: tokens.length, capacity: 12 });
    const scopes = [
      [0, 5],
      [5, 6],
      [6, 7],
      [7, 11],
      [11, 12],
    ] as const;
    const pieces = device.scope(() => {
      const logits = scopes.map(([start, end]) => {
        const part = tokens.map((ids) => ids.slice(start, end));
        // A run of all logits has logits.
        return model.run(part, { cache }).logits as Tensor;
      });
      return concat(logits, { axis: 1 });
    });
    expect(deviation(await pieces.floats(), whole.logits)).toBeLessThan(1e-5);
    pieces.dispose();
  });

  it("generates transformers' greedy tokens", async () => {
    const expected = await golden.readIntegers("greedy");
    const generated: number[] = [];
    const maxTokens = expected.length;
    for await (const { token } of model.generate({
      tokens: tokens[0] ?? [],
      maxTokens,
      ignoreEos: true,
    }))
      generated.push(token);
    expect(generated).toEqual([...expected]);
  });

  it("reads the final residual stream out as its logits", async () => {
    const last = `blocks.${model.config.layers - 1}.hook_resid_post`;
    const [readOut, byHand, logits] = device.scope(() => {
      const run = model.run(tokens, { capture: [last, "ln_final.hook_normalized"] });
      const normalized = run.captured.get("ln_final.hook_normalized") as Tensor;
      const weighted = mul(normalized, model.finalNormWeight());
      const bias = families[model.config.architecture].finalNorm.replace(/weight$/u, "bias");
      const isLayer = model.config.architecture.startsWith("gpt");
      const moved = isLayer ? add(weighted, model.parameter(bias)) : weighted;
      const raw = linear(moved, model.unembedding());
      const cap = model.config.logitSoftCap;
      const capped = cap === undefined ? raw : mul(tanh(mul(raw, 1 / cap)), cap);
      return [model.readOut(run.captured.get(last) as Tensor), capped, run.logits as Tensor];
    });
    const expected = await logits.floats();
    for (const tensor of [readOut, byHand] as Tensor[])
      expect(deviation(await tensor.floats(), expected)).toBeLessThan(1e-5);
    for (const tensor of [readOut, byHand, logits]) tensor?.dispose();
  });

  it("differs without any of the features that its configuration names", async () => {
    const { logits } = await read(model, tokens);
    for (const feature of features.filter((key) => key in model.config)) {
      const { [feature]: _, ...less } = model.config;
      using without = new LanguageModel({
        identity: model.identity(),
        config: less,
        device,
        tokenizer: null,
        parameters: new Map(
          families[less.architecture]
            .parameters(model.config)
            .map((spec) => [spec.name, model.weight(spec.name)] as const),
        ),
        borrowed: true,
      });
      const changed = await read(without, tokens);
      expect(deviation(changed.logits, logits), feature).toBeGreaterThan(0.01);
    }
  });

  it("divides by an edited scale what it would have divided by its own", async () => {
    const norms = model.sites().filter(({ name: site }) => site.endsWith("hook_scale"));
    const normalized = (site: string) => site.replace("hook_scale", "hook_normalized");
    const sites = norms.map(({ name: site }) => normalized(site));
    for (const { name: site } of norms) {
      const plain = await read(model, tokens, { capture: sites });
      const edits = [scaleBy(site, 2)];
      const { at } = await read(model, tokens, { capture: sites, edits });
      const expected = plain.at(normalized(site)).map((value) => value / 2);
      expect(deviation(at(normalized(site)), expected), site).toBeLessThan(1e-5);
    }
  });

  it("reads the configuration as transformers 4 and 5 write it", async () => {
    expect(parseConfig(await configOf(name, "v4"))).toEqual(model.config);
    expect(parseConfig(await configOf(name, "v5"))).toEqual(model.config);
  });
});
