// What holds for every family without a golden; parity.test.ts compares them with transformers.
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  checkpointOf,
  deviation,
  openFixture,
  openTiny,
  read,
  referenceDevice,
} from "../__fixtures__/support.ts";
import { architectures, type ModelConfig } from "../config.ts";
import { modelConfigJson } from "../config-json.ts";
import { loadModel } from "../load-model.ts";
import { parseConfig } from "../parse-config.ts";
import { randomModel } from "../random-model.ts";
import { families } from "./index.ts";

const device = referenceDevice();

/** Fields that each transformers does not know. */
const newer = ["rope_parameters", "layer_types", "dtype"];
const older = [
  "rope_theta",
  "rope_scaling",
  "partial_rotary_factor",
  "rope_local_base_freq",
  "rotary_pct",
  "rotary_emb_base",
  "torch_dtype",
];

function without(fields: Record<string, unknown>, names: readonly string[]) {
  return Object.fromEntries(Object.entries(fields).filter(([name]) => !names.includes(name)));
}

const scaling = (pairs: number) =>
  fc.oneof(
    // Its context is the factor times the original one, and small models have 128 positions.
    fc.constantFrom(2, 4).map((factor) => ({
      type: "dynamic" as const,
      factor,
      originalPositions: 128 / factor,
    })),
    fc.record(
      {
        type: fc.constant("longrope" as const),
        factor: fc.constantFrom(4, 32),
        originalPositions: fc.constantFrom(32, 64),
        shortFactor: fc.constant(Array.from({ length: pairs }, (_, pair) => 1 + pair)),
        longFactor: fc.constant(Array.from({ length: pairs }, (_, pair) => 1 + 8 * pair)),
        attentionFactor: fc.constant(1.25),
      },
      { requiredKeys: ["type", "factor", "originalPositions", "shortFactor", "longFactor"] },
    ),
    fc.record({ type: fc.constant("linear" as const), factor: fc.constantFrom(2, 4) }),
    fc.record({
      type: fc.constant("llama3" as const),
      factor: fc.constantFrom(8, 32),
      lowFrequencyFactor: fc.constant(1),
      highFrequencyFactor: fc.constantFrom(4, 8),
      originalPositions: fc.constantFrom(32, 8_192),
    }),
    fc.record(
      {
        type: fc.constant("yarn" as const),
        factor: fc.constantFrom(4, 40),
        originalPositions: fc.constantFrom(32, 4_096),
        attentionFactor: fc.constant(1.25),
        betaFast: fc.constant(16),
        truncate: fc.boolean(),
      },
      { requiredKeys: ["type", "factor", "originalPositions"] },
    ),
  );

/** Configurations of a family with what Llama-like ones may have. */
function configsOf(architecture: ModelConfig["architecture"]): fc.Arbitrary<ModelConfig> {
  const { small } = families[architecture];
  const sizes = fc.record({
    layers: fc.integer({ min: 1, max: 12 }),
    dMlp: fc.integer({ min: 1, max: 99 }),
    vocabulary: fc.integer({ min: 1, max: 999 }),
    normEpsilon: fc.constantFrom(1e-5, 1e-6),
    tiedEmbeddings: fc.boolean(),
    endTokens: fc.constantFrom([], [2], [1, 106]),
  });
  const { dHead, dRotary = dHead } = small;
  const more = fc.record({ ropeScaling: scaling(dRotary / 2) }, { requiredKeys: [] });
  const rotary = "ropeBase" in small;
  return fc.tuple(sizes, more).map(([given, extra]) => ({
    architecture,
    ...small,
    ...given,
    ...(rotary ? extra : {}),
    // A window in the first layer alone is one in all layers of a model of one.
    ...(small.slidingLayers && given.layers > 1 ? { slidingLayers: small.slidingLayers } : {}),
  }));
}

describe.each(architectures)("%s", (architecture) => {
  it("reads back the configuration it writes, all of it or what either transformers knows", () => {
    fc.assert(
      fc.property(configsOf(architecture), (config) => {
        const expected = { ...config };
        if (config.layers === 1) delete (expected as { slidingLayers?: unknown }).slidingLayers;
        const json: Record<string, unknown> = JSON.parse(JSON.stringify(modelConfigJson(config)));
        expect(parseConfig(json)).toEqual(expected);
        expect(parseConfig(without(json, older))).toEqual(expected);
        // transformers 4 said which layers slide by a pattern, which small models do not follow.
        const kept = newer.filter((name) => name !== "layer_types");
        expect(parseConfig(without(json, kept))).toEqual(expected);
        expect(json["model_type"]).toBe(architecture);
      }),
    );
  });

  it("takes transformers' defaults where fields are absent", () => {
    const config = parseConfig({ model_type: architecture });
    expect(config.architecture).toBe(architecture);
    expect(config.layers * config.dModel * config.vocabulary).toBeGreaterThan(1e8);
  });

  it("has at any sizes the shapes that its sites say, with and without a cache", async () => {
    const { small } = families[architecture];
    const grouped = !architecture.startsWith("gpt");
    const sizes = fc.record({
      layers: fc.integer({ min: 1, max: 3 }),
      kvHeads: fc.integer({ min: 1, max: 3 }),
      group: fc.integer({ min: 1, max: 3 }),
      half: fc.integer({ min: 1, max: 5 }),
      dModel: fc.integer({ min: 1, max: 40 }),
      dMlp: fc.integer({ min: 1, max: 30 }),
      vocabulary: fc.integer({ min: 2, max: 50 }),
      batch: fc.integer({ min: 1, max: 3 }),
      length: fc.integer({ min: 2, max: 9 }),
      slidingWindow: fc.integer({ min: 1, max: 10 }),
    });
    await fc.assert(
      fc.asyncProperty(sizes, async ({ group, half, batch, length, slidingWindow, ...given }) => {
        const dHead = 2 * half;
        const heads = grouped ? given.kvHeads * group : given.kvHeads;
        const { dRotary: _, slidingLayers: __, ...rest } = small;
        const config = {
          architecture,
          ...rest,
          ...given,
          heads,
          dHead,
          dModel: grouped ? given.dModel : heads * dHead,
          ...("slidingWindow" in small ? { slidingWindow } : {}),
          ...("dRotary" in small ? { dRotary: 2 } : {}),
        };
        using model = randomModel({ device, seed: 1, config });
        const tokens = Array.from({ length: batch }, (___, row) =>
          Array.from({ length }, (____, index) => (7 * row + index) % given.vocabulary),
        );
        const sites = model.sites();
        const { shape, logits } = await read(model, tokens, {
          capture: sites.map((site) => site.name),
        });
        for (const site of sites) {
          const seen = shape(site.name);
          const expected = site.shape[1] === "pos" ? [batch, length] : [batch, heads];
          expect(seen.slice(0, 2), site.name).toEqual(expected);
          const width = seen.slice(2).reduce((product, count) => product * count, 1);
          expect(width, site.name).toBe(site.shape[1] === "pos" ? site.width : length ** 2);
        }
        using cache = model.createCache({ batch, capacity: length });
        const rows = (start: number, end: number) => tokens.map((row) => row.slice(start, end));
        const cut = Math.ceil(length / 2);
        model.run(rows(0, cut), { cache, logits: "none" }).dispose();
        const last = await read(model, rows(cut, length), { cache, logits: "last" });
        const whole = await read(model, tokens, { logits: "last" });
        expect(Math.max(...logits.map(Math.abs))).toBeGreaterThan(0);
        for (const [index, value] of whole.logits.entries())
          expect(Math.abs((last.logits[index] ?? Number.NaN) - value)).toBeLessThan(1e-4);
      }),
      { numRuns: 12 },
    );
    expect(device.memory().liveBytes).toBe(0);
  });

  it("is made at random, runs, and keeps its activations at their size", async () => {
    using model = randomModel({ device, seed: 3, config: { architecture } });
    expect(model.identity().name).toContain(architecture);
    const last = `blocks.${model.config.layers - 1}.hook_resid_post`;
    const { at, logits } = await read(model, [[1, 2, 3, 4, 5, 6]], { capture: [last] });
    const size = Math.sqrt(at(last).reduce((sum, value) => sum + value ** 2, 0) / at(last).length);
    expect(size).toBeGreaterThan(0.05);
    expect(size).toBeLessThan(20);
    expect(logits.every((value) => Number.isFinite(value))).toBe(true);
    expect(model.finalNormWeight().shape).toEqual([model.config.dModel]);
    expect(await model.finalNormWeight().floats()).toEqual(
      new Float32Array(model.config.dModel).fill(1),
    );
  });
});

describe.each(["qwen2", "qwen3", "gemma2", "gemma3_text"] as const)(
  "layer types of %s",
  (architecture) => {
    it("are refused where they are of other kinds, too few, or without their window", () => {
      const { small } = families[architecture];
      const json = modelConfigJson({
        architecture,
        ...small,
        slidingWindow: 16,
        slidingLayers: [0],
      });
      const types =
        (layer_types: string[], more: object = {}) =>
        () =>
          parseConfig({ ...json, layer_types, ...more });
      expect(types(["full_attention", "linear_attention"])).toThrow(
        expect.objectContaining({
          code: "MODEL_UNSUPPORTED",
          message: expect.stringContaining("linear_attention"),
        }),
      );
      expect(types(["full_attention"])).toThrow(/1 entries for 2 layers/u);
      expect(types(["full_attention", "sliding_attention"], { sliding_window: null })).toThrow(
        /sliding_window is not there/u,
      );
    });
  },
);

describe("checkpoints under other names", () => {
  it("reads GPT-2 without its prefix, with masks and a copy of the tied head", async () => {
    const { config, tensors } = await openTiny("families/gpt2");
    const short = (name: string) => name.replace("transformer.", "");
    const real = new Map(tensors.names().map((name) => [short(name), name]));
    real.set("lm_head.weight", "transformer.wte.weight");
    real.set("h.0.attn.bias", "transformer.wte.weight");
    real.set("h.1.attn.masked_bias", "transformer.wte.weight");
    const original = (name: string) => real.get(name) ?? name;
    using renamed = await loadModel(
      checkpointOf(config, {
        ...tensors,
        names: () => [...real.keys()],
        has: (name) => real.has(name),
        info: (name) => ({ ...tensors.info(original(name)), name }),
        readFloats: (name, options) => tensors.readFloats(original(name), options),
        readBytes: (name, options) => tensors.readBytes(original(name), options),
        readPieces: (name, options) => tensors.readPieces(original(name), options),
      }),
      { device },
    );
    using plain = await loadModel(await openTiny("families/gpt2"), { device });
    const tokens = [[5, 4, 3, 2, 1]];
    expect((await read(renamed, tokens)).logits).toEqual((await read(plain, tokens)).logits);
    expect(renamed.parameter("transformer.h.0.mlp.c_fc.weight").shape).toEqual([24, 96]);
  });

  it("reads the text model of Gemma 3 with images", async () => {
    using model = await loadModel(await openTiny("gemma3-images"), { device });
    const golden = await openFixture("gemma3-images/golden.safetensors");
    expect(model.config).toMatchObject({ architecture: "gemma3_text", endTokens: [1, 6] });
    const tokens = [[...(await golden.readIntegers("tokens"))]];
    const { logits } = await read(model, tokens);
    expect(deviation(logits, await golden.readFloats("logits"))).toBeLessThan(1e-4);
  });

  it("leaves nothing else in the file", async () => {
    const { config, tensors } = await openTiny("families/gemma3");
    const names = [...tensors.names(), "model.layers.0.lora_A.weight"];
    const more = checkpointOf(config, { ...tensors, names: () => names });
    await expect(loadModel(more, { device })).rejects.toMatchObject({
      code: "WEIGHTS_UNEXPECTED",
      message: expect.stringContaining("lora_A"),
    });
  });
});

describe("what families refuse", () => {
  it.each([
    ["gpt2", { n_embd: 30, n_head: 4 }, "CONFIG_INVALID", "30 cannot be shared by 4"],
    ["gpt2", { add_cross_attention: true }, "MODEL_UNSUPPORTED", "add_cross_attention"],
    ["gpt_neox", { hidden_size: 30, num_attention_heads: 4 }, "CONFIG_INVALID", "cannot be shared"],
    ["gpt_neox", { rotary_pct: 0.1, hidden_size: 640 }, "CONFIG_INVALID", "pairs"],
    ["gemma2", { use_bidirectional_attention: true }, "MODEL_UNSUPPORTED", "bidirectional"],
    [
      "gemma3_text",
      { rope_parameters: { sliding_attention: { rope_type: "linear", factor: 2 } } },
      "MODEL_UNSUPPORTED",
      "layers with a window",
    ],
    ["qwen2", { partial_rotary_factor: 0.5 }, "MODEL_UNSUPPORTED", "partial_rotary_factor 0.5"],
    [
      "mistral",
      { rope_scaling: { type: "longrope", short_factor: [1, 2], long_factor: [1, 2] } },
      "CONFIG_INVALID",
      "2 numbers in short_factor for 64 pairs",
    ],
    ["mistral", { rope_scaling: { type: "dynamic" } }, "CONFIG_INVALID", "has no factor"],
  ])("%s %j", (model_type, fields, code, named) => {
    expect(() => parseConfig({ model_type, ...fields })).toThrow(
      expect.objectContaining({ code, message: expect.stringContaining(named) }),
    );
  });
});
