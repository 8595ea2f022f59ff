import { fromBf16Bits, fromF16Bits, toBf16Bits, toF16Bits } from "@latentkit/core";
import { openCheckpoint } from "@latentkit/loaders/node";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { openCase, parityCases } from "../__fixtures__/parity.ts";
import { openTiny, read, referenceDevice } from "../__fixtures__/support.ts";
import { modelConfigJson } from "../config-json.ts";
import { parseConfig } from "../parse-config.ts";
import { loadModel } from "../load-model.ts";
import { randomModel } from "../random-model.ts";
import { saveModel } from "./save-model.ts";

const folder = mkdtempSync(join(tmpdir(), "latentkit-save-"));
const device = referenceDevice();
afterAll(() => {
  rmSync(folder, { recursive: true });
  expect(device.memory().liveBytes).toBe(0);
});

const config = {
  layers: 2,
  dModel: 24,
  heads: 4,
  kvHeads: 2,
  dHead: 8,
  dMlp: 20,
  vocabulary: 50,
  contextSize: 32,
  ropeBase: 5000,
  normEpsilon: 1e-6,
};
const rounding = {
  f32: (value: number) => value,
  f16: (value: number) => fromF16Bits(toF16Bits(value)),
  bf16: (value: number) => fromBf16Bits(toBf16Bits(value)),
} as const;

async function load(path: string, weights: "f32" | "stored" = "f32") {
  const checkpoint = await openCheckpoint(path);
  try {
    return await loadModel(checkpoint, { device, weights });
  } finally {
    await checkpoint.close();
  }
}

describe.each(["f32", "f16", "bf16"] as const)("%s", (dtype) => {
  it.each([true, false])("comes back as it was written, tied %s", async (tiedEmbeddings) => {
    const target = join(folder, `${dtype}-${tiedEmbeddings}`);
    using model = randomModel({
      device,
      seed: 5,
      config: { ...config, tiedEmbeddings, endTokens: [2, 0] },
    });
    await saveModel(model, target, { dtype });
    using back = await load(target);
    expect(back.config).toEqual(model.config);
    for (const [name, tensor] of Object.entries(model.trainableParameters()))
      expect(await back.parameter(name).floats()).toEqual(
        (await tensor.floats()).map((value) => rounding[dtype](value)),
      );
    expect(readdirSync(target).sort()).toEqual([
      "config.json",
      "generation_config.json",
      "model.safetensors",
    ]);
    expect(JSON.parse(readFileSync(join(target, "config.json"), "utf8"))).toMatchObject({
      architectures: ["LlamaForCausalLM"],
      torch_dtype: { f32: "float32", f16: "float16", bf16: "bfloat16" }[dtype],
      eos_token_id: [2, 0],
      rope_theta: 5000,
      rope_parameters: { rope_theta: 5000, rope_type: "default" },
    });
  });
});

it("saves a model whose weights are kept as they were stored", async () => {
  using stored = await loadModel(await openTiny("tiny-untied"), { device });
  await saveModel(stored, join(folder, "stored"));
  using back = await load(join(folder, "stored"));
  const tokens = [[1, 2, 3, 4]];
  expect((await read(back, tokens)).logits).toEqual((await read(stored, tokens)).logits);
});

it("saves weights from the host, and the tokenizer beside them", async () => {
  using model = randomModel({ device, seed: 6, config });
  const parameters: Record<string, Float32Array> = {};
  for (const [name, tensor] of Object.entries(model.trainableParameters()))
    parameters[name] = await tensor.floats();
  const target = join(folder, "host");
  await saveModel({ config: model.config, parameters }, target, {
    tokenizerJson: '{"text": true}\n',
    tokenizerConfig: { eos_token: "<end>" },
    bosToken: 1,
  });
  expect(readFileSync(join(target, "tokenizer.json"), "utf8")).toBe('{"text": true}\n');
  expect(JSON.parse(readFileSync(join(target, "tokenizer_config.json"), "utf8"))).toEqual({
    eos_token: "<end>",
  });
  const generation: unknown = JSON.parse(
    readFileSync(join(target, "generation_config.json"), "utf8"),
  );
  expect(generation).toEqual({ bos_token_id: 1, eos_token_id: null, pad_token_id: null });
  const checkpoint = await openCheckpoint(target, { tokenizer: false });
  using back = await loadModel(checkpoint, { device });
  await checkpoint.close();
  expect(await back.unembedding().floats()).toEqual(parameters["model.embed_tokens.weight"]);
});

it("leaves no config.json where it did not come to the end", async () => {
  using model = randomModel({ device, seed: 6, config });
  const target = join(folder, "broken");
  await saveModel(model, target);
  const missing = saveModel({ config: model.config, parameters: {} }, target);
  await expect(missing).rejects.toMatchObject({ code: "WEIGHTS_TO_SAVE" });
  // Nothing was touched: what is missing is found first.
  expect(existsSync(join(target, "config.json"))).toBe(true);
  const signal = AbortSignal.abort();
  await expect(saveModel(model, target, { signal })).rejects.toMatchObject({ code: "ABORTED" });
  expect(existsSync(join(target, "config.json"))).toBe(false);
  await expect(load(target)).rejects.toMatchObject({ code: "CHECKPOINT_NO_CONFIG" });
});

it.each(parityCases)("saves %s and reads it back", async (name) => {
  using model = await openCase(name, device);
  const target = join(folder, name);
  await saveModel(model, target);
  using back = await load(target);
  expect(back.config).toEqual(model.config);
  const tokens = [[1, 2, 3, 4, 5, 6, 7]];
  expect((await read(back, tokens)).logits).toEqual((await read(model, tokens)).logits);
});

it("writes whole soft caps as transformers 5 wants them", async () => {
  const architecture = "gemma2";
  using model = randomModel({ device, seed: 1, config: { architecture, logitSoftCap: 2.5 } });
  const target = join(folder, "caps");
  await saveModel(model, target);
  const text = readFileSync(join(target, "config.json"), "utf8");
  expect(text).toContain('"attn_logit_softcapping": 50.0,\n  "');
  expect(text).toContain('"final_logit_softcapping": 2.5,\n  "');
  expect(parseConfig(JSON.parse(text))).toEqual(model.config);
});

it("writes a config.json that transformers 4 and 5 read, and we too", () => {
  const original = {
    architecture: "llama",
    ...config,
    tiedEmbeddings: true,
    endTokens: [3],
  } as const;
  const json = modelConfigJson(original, { dtype: "bf16", padToken: 0 });
  expect(parseConfig(json)).toEqual(original);
  const { rope_parameters: _, ...four } = json;
  expect(parseConfig(four)).toEqual(original);
  const { rope_theta: __, ...five } = json;
  expect(parseConfig(five)).toEqual(original);
});
