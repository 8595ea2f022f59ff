import { Random } from "@latentkit/core";
import { copyInto, sub, Tensor } from "@latentkit/tensor";
import { afterAll, afterEach, describe, expect, it } from "vitest";
import { deviation, openTiny, read, referenceDevice } from "./__fixtures__/support.ts";
import { projectOut } from "./edits.ts";
import type { Architecture, ModelConfig } from "./config.ts";
import { families } from "./families/index.ts";
import type { LanguageModel } from "./language-model.ts";
import { loadModel } from "./load-model.ts";
import { randomModel } from "./random-model.ts";
import { orthogonalizedTo, withTaskVector } from "./weight-edits.ts";

const device = referenceDevice();
afterEach(() => expect(device.memory().liveBytes).toBe(0));
afterAll(() => device.dispose());

const tokens = [
  [3, 1, 4, 1, 5],
  [6, 5, 25, 8, 9],
];
const config = {
  layers: 2,
  dModel: 32,
  heads: 4,
  kvHeads: 4,
  dHead: 8,
  dMlp: 64,
  vocabulary: 40,
  contextSize: 16,
};
const random = new Random(9);
const directions = [0, 1].map(() => random.fillNormal(new Float32Array(config.dModel)));
const writerSites = (model: LanguageModel) =>
  model
    .sites()
    .map((site) => site.name)
    .filter((name) => /^hook_(?:pos_)?embed$|hook_attn_out$|hook_mlp_out$/u.test(name));
const projected = (model: LanguageModel) =>
  writerSites(model).map((site) => ({ site, edit: projectOut(directions) }));

/** A model whose biases are not 0, which they are in a random one. */
function biased(architecture: Architecture, more: Partial<ModelConfig> = {}): LanguageModel {
  const model = randomModel({ device, seed: 2, config: { architecture, ...config, ...more } });
  for (const [name, tensor] of Object.entries(model.trainableParameters())) {
    if (!name.endsWith(".bias")) continue;
    const values = random.fillNormal(new Float32Array(tensor.size));
    using made = device.tensor(values, tensor.shape);
    copyInto(made, tensor, { axis: 0, start: 0 });
  }
  return model;
}

const before = (Object.keys(families) as Architecture[]).filter(
  (name) =>
    families[name].layout({ architecture: name, ...families[name].small }).norms === "before",
);

describe("orthogonalizedTo", () => {
  it.each(before.flatMap((name) => [[name, true] as const, [name, false] as const]))(
    "computes what projecting out at every writer computes: %s, tied %s",
    async (architecture, tiedEmbeddings) => {
      using model = biased(architecture, {
        tiedEmbeddings,
        ...(architecture === "gpt_neox" ? { dRotary: 4 } : {}),
      });
      const resting = device.memory().liveBytes;
      const sites = model
        .sites()
        .map((site) => site.name)
        .filter((name) => name.includes("hook_resid"));
      const expected = await read(model, tokens, { edits: projected(model), capture: sites });
      const plain = await read(model, tokens);
      const view = orthogonalizedTo(model, directions);
      const found = await read(view, tokens, { capture: sites });
      expect(deviation(found.logits, expected.logits)).toBeLessThan(1e-4);
      expect(deviation(found.logits, plain.logits)).toBeGreaterThan(1e-2);
      for (const site of sites) {
        expect(deviation(found.at(site), expected.at(site)), site).toBeLessThan(1e-5);
        for (const direction of directions) {
          const along = found
            .at(site)
            .reduce((sum, x, at) => sum + x * (direction[at % config.dModel] ?? 0), 0);
          expect(Math.abs(along)).toBeLessThan(1e-3);
        }
      }
      // The unembedding is the model's, tied or not, and so is the rest.
      expect(view.unembedding()).toBe(model.unembedding());
      expect(view.config.tiedEmbeddings).toBe(false);
      view.dispose();
      expect(device.memory().liveBytes).toBe(resting);
      expect((await read(model, tokens)).logits).toEqual(plain.logits);
    },
  );

  it("takes one direction too, and is told apart by name and hash", () => {
    using model = biased("llama");
    const [first = new Float32Array(), second = new Float32Array()] = directions;
    using one = orthogonalizedTo(model, first);
    using same = orthogonalizedTo(model, [first]);
    using other = orthogonalizedTo(model, second);
    expect(one.identity()).toEqual(same.identity());
    expect(one.identity().weightsHash).not.toBe(other.identity().weightsHash);
    expect(one.name).toMatch(/\+orthogonalized$/u);
  });

  it("dequantises weights that are kept as they were stored", async () => {
    using stored = await quantized();
    using dense = stored.withWeights(
      new Map([...stored.names].map((name) => [name, stored.parameter(name)])),
    );
    const direct = await read(dense, tokens, { edits: projected(dense) });
    using view = orthogonalizedTo(dense, directions);
    using fromStored = orthogonalizedTo(stored, directions);
    expect(deviation((await read(view, tokens)).logits, direct.logits)).toBeLessThan(1e-4);
    for (const name of stored.names) {
      const weight = fromStored.weight(name);
      if (!/o_proj|down_proj|embed_tokens/u.test(name)) {
        expect(weight).toBe(stored.weight(name));
        continue;
      }
      expect(weight).toBeInstanceOf(Tensor);
      expect(await (weight as Tensor).floats()).toEqual(
        await (view.weight(name) as Tensor).floats(),
      );
    }
  });

  it.each(["gemma2", "gemma3_text", "olmo2"] as const)(
    "refuses %s, which norms what is written",
    (architecture) => {
      using model = randomModel({ device, seed: 1, config: { architecture } });
      const direction = new Float32Array(model.config.dModel).fill(1);
      expect(() => orthogonalizedTo(model, direction)).toThrow(
        expect.objectContaining({
          code: "WRITERS_NORMALIZED",
          message: expect.stringContaining(architecture),
        }),
      );
    },
  );

  it("refuses directions that are none", () => {
    using model = biased("llama");
    const code = (expected: string) => expect.objectContaining({ code: expected });
    expect(() => orthogonalizedTo(model, new Float32Array(32))).toThrow(code("EDIT_DIRECTIONS"));
    expect(() => orthogonalizedTo(model, [])).toThrow(code("EDIT_DIRECTIONS"));
    expect(() => orthogonalizedTo(model, [1, 2])).toThrow(code("EDIT_WIDTH"));
  });
});

/** A Llama whose matrices are stored as Q8_0, with their names. */
async function quantized(): Promise<LanguageModel & { readonly names: readonly string[] }> {
  const source = randomModel({ device, seed: 5, config: { ...config, tiedEmbeddings: true } });
  const overrides = new Map<string, ReturnType<typeof device.storedWeight>>();
  const names: string[] = [];
  for (const [name, tensor] of Object.entries(source.trainableParameters())) {
    if (tensor.shape.length !== 2) continue;
    names.push(name);
    overrides.set(name, device.storedWeight(q8(await tensor.floats()), tensor.shape, "q8_0"));
  }
  const view = source.withWeights(overrides, undefined, { owned: true });
  const dispose = view.dispose.bind(view);
  return Object.assign(view, {
    names,
    dispose: () => {
      dispose();
      source.dispose();
    },
  });
}

/** Blocks of a scale (f16, here a power of two) and 32 signed bytes. */
function q8(values: Float32Array): Uint8Array {
  const bytes = new Uint8Array((values.length / 32) * 34);
  const view = new DataView(bytes.buffer);
  for (let block = 0; block < values.length / 32; block++) {
    // 2^-6 as f16: exponent 15 - 6.
    view.setUint16(block * 34, (15 - 6) << 10, true);
    for (let i = 0; i < 32; i++) {
      const rounded = Math.round((values[block * 32 + i] ?? 0) * 64);
      view.setInt8(block * 34 + 2 + i, Math.max(-127, Math.min(127, rounded)));
    }
  }
  return bytes;
}

describe("withTaskVector", () => {
  const task = (tuned: LanguageModel, base: LanguageModel) =>
    device.scope(() =>
      Object.fromEntries(
        Object.entries(tuned.trainableParameters()).map(([name, weight]) => [
          name,
          sub(weight, base.parameter(name)),
        ]),
      ),
    );

  it("adds what fine-tuning changed, and takes it away again", async () => {
    using base = biased("gpt2", { tiedEmbeddings: true });
    using tuned = randomModel({ device, seed: 8, config: { architecture: "gpt2", ...config } });
    const deltas = task(tuned, base);
    const vector = new Map(Object.entries(deltas));
    const plain = await read(base, tokens);
    const wanted = await read(tuned, tokens);
    using whole = await withTaskVector(base, vector);
    expect(deviation((await read(whole, tokens)).logits, wanted.logits)).toBeLessThan(1e-4);
    expect(whole.unembedding()).toBe(whole.weight("transformer.wte.weight"));
    using back = await withTaskVector(whole, vector, -1);
    expect(deviation((await read(back, tokens)).logits, plain.logits)).toBeLessThan(1e-4);
    using half = await withTaskVector(base, vector, 0.5);
    expect(deviation((await read(half, tokens)).logits, wanted.logits)).toBeGreaterThan(1e-2);
    expect(new Set([base, whole, half].map((model) => model.identity().weightsHash)).size).toBe(3);
    for (const delta of vector.values()) delta.dispose();
  });

  it("changes stored weights as f32, and those alone", async () => {
    using model = await loadModel(await openTiny("tiny-tied"), { device });
    const name = "model.layers.0.mlp.down_proj.weight";
    using delta = device.full(model.weight(name).shape, 0.5);
    using view = await withTaskVector(model, new Map([[name, delta]]), 2);
    const expected = (await model.parameter(name).floats()).map((x) => x + 1);
    expect(await view.parameter(name).floats()).toEqual(expected);
    expect(view.weight("model.layers.0.mlp.up_proj.weight")).toBe(
      model.weight("model.layers.0.mlp.up_proj.weight"),
    );
  });

  it("refuses what does not fit, and leaves nothing behind", async () => {
    using model = biased("llama");
    using wrong = device.zeros([2, 2]);
    const resting = device.memory().liveBytes;
    const name = "model.layers.0.mlp.down_proj.weight";
    await expect(withTaskVector(model, new Map([["W_E", wrong]]))).rejects.toMatchObject({
      code: "PARAMETER_UNKNOWN",
    });
    await expect(withTaskVector(model, new Map([[name, wrong]]))).rejects.toThrow(/2, 2/u);
    expect(device.memory().liveBytes).toBe(resting);
  });
});
