// Adapters of every model family against PEFT; see oracles/lora/families.py.
import type { LanguageModel } from "@latentkit/models";
import { createReferenceBackend, Device } from "@latentkit/tensor";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { adapterGradients, createAdapter, targetModulesOf, withAdapter } from "../index.ts";
import {
  familyFolder,
  fixture,
  loadBase,
  ourFamilies,
  ourFamilyAdapter,
  readFixture,
} from "../testing/fixtures.ts";
import { loadAdapter, saveAdapter } from "./index.ts";

const device = new Device(createReferenceBackend());
let scratch: string;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), "latentkit-lora-families-"));
});
afterAll(async () => {
  expect(device.memory().liveBytes).toBe(0);
  await rm(scratch, { recursive: true, force: true });
});

async function tokensOf(family: string): Promise<number[][]> {
  const golden = await readFixture("golden", join(familyFolder(family), "golden.safetensors"));
  return golden.rows("tokens");
}

async function logitsOf(model: LanguageModel, tokens: number[][]): Promise<Float32Array> {
  using run = model.run(tokens);
  return (await run.logits?.floats()) ?? new Float32Array();
}

/** The largest difference in units of the expected values' root mean square. */
function deviation(actual: Float32Array, expected: Float32Array): number {
  expect(actual.length).toBe(expected.length);
  const size = Math.sqrt(expected.reduce((sum, one) => sum + one * one, 0) / expected.length);
  return actual.reduce((most, one, at) => Math.max(most, Math.abs(one - expected[at]!)), 0) / size;
}

/** The checkpoint of each case, how many modules PEFT adapted, and the shortest names that say so. */
const cases = [
  ["gpt2", "gpt2", 8, ["c_attn", "c_proj", "c_fc"]],
  ["gpt2-some", "gpt2-variants", 2, ["attn.c_proj", "c_fc"]],
  ["gpt-neox", "gpt-neox", 8, ["query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h"]],
  [
    "gpt-neox-all-linear",
    "gpt-neox-sequential",
    8,
    ["query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h"],
  ],
  ["mistral", "mistral", 14, undefined],
  ["qwen2", "qwen2", 9, ["k_proj", "v_proj", "up_proj"]],
  ["qwen3", "qwen3", 14, undefined],
  ["olmo2", "olmo2", 14, undefined],
  ["gemma2", "gemma2", 6, ["q_proj", "o_proj", "gate_proj"]],
  ["gemma3", "gemma3", 9, ["q_proj", "o_proj", "down_proj"]],
] as const;

describe.each(cases)("the adapter %s that PEFT wrote", (name, family, count, targets) => {
  let model: LanguageModel;
  let tokens: number[][];
  let golden: Awaited<ReturnType<typeof readFixture>>;
  beforeAll(async () => {
    model = await loadBase(device, familyFolder(family));
    tokens = await tokensOf(family);
    golden = await readFixture(`families/${name}/golden.safetensors`);
  });
  afterAll(() => model.dispose());

  it("gives PEFT's logits and gradients", async () => {
    using adapter = await loadAdapter(fixture(`families/${name}`), { model });
    expect(adapter.modules).toHaveLength(count);
    expect(adapter.config.targetModules).toEqual(targets ?? targetModulesOf(model.config));
    {
      using adapted = await withAdapter(model, adapter);
      expect(
        deviation(await logitsOf(adapted.model, tokens), golden.floats("logits")),
      ).toBeLessThan(1e-4);
    }
    const batch = {
      tokens: tokens.map((row) => row.slice(0, -1)),
      targets: tokens.map((row) => row.slice(1)),
    };
    const { value, gradients } = adapterGradients(model, adapter, batch);
    expect(Math.abs((await value.item()) - (golden.floats("loss")[0] ?? 0))).toBeLessThan(1e-5);
    value.dispose();
    for (const [module, { a, b }] of Object.entries(gradients)) {
      for (const [letter, gradient] of Object.entries({ A: a, B: b })) {
        const expected = golden.floats(`gradient.${module}.lora_${letter}`);
        expect(deviation(await gradient.floats(), expected), module + letter).toBeLessThan(2e-4);
        gradient.dispose();
      }
    }
  });

  it("keeps its weights when saved again, and what it adapts", async () => {
    using adapter = await loadAdapter(fixture(`families/${name}`), { model });
    const folder = join(scratch, name);
    await saveAdapter(adapter, folder);
    const file = "adapter_model.safetensors";
    const theirs = await readFixture(`families/${name}/${file}`);
    const ours = await readFixture(name, join(folder, file));
    expect(ours.names.toSorted()).toEqual(theirs.names.toSorted());
    for (const tensor of ours.names) expect(ours.floats(tensor)).toEqual(theirs.floats(tensor));
    using again = await loadAdapter(folder, { model });
    expect(again.config).toEqual(adapter.config);
    expect(again.modules).toEqual(adapter.modules);
  });
});

describe.each(ourFamilies)("our adapter of %s", (name) => {
  let model: LanguageModel;
  beforeAll(async () => {
    model = await loadBase(device, familyFolder(name));
  });
  afterAll(() => model.dispose());

  it("has the bytes that PEFT was shown, and gives the logits that it computed from them", async () => {
    using adapter = ourFamilyAdapter(model, name);
    await saveAdapter(adapter, join(scratch, `ours-${name}`));
    for (const file of ["adapter_config.json", "adapter_model.safetensors"])
      expect(await readFile(join(scratch, `ours-${name}`, file))).toEqual(
        await readFile(fixture(`ours/${name}/${file}`)),
      );
    const golden = await readFixture("ours/golden.safetensors");
    using adapted = await withAdapter(model, adapter);
    const logits = await logitsOf(adapted.model, await tokensOf(name));
    expect(deviation(logits, golden.floats(name))).toBeLessThan(1e-4);
  });
});

describe("an adapter of another family", () => {
  it("is refused with what the model has", async () => {
    using model = await loadBase(device, familyFolder("gpt-neox"));
    await expect(loadAdapter(fixture("families/gpt2"), { model })).rejects.toMatchObject({
      code: "ADAPTER_WEIGHTS",
      message: expect.stringMatching(/transformer\.h\.0\.attn\.c_attn.*gpt_neox model of 2 layers/),
    });
    using other = await loadBase(device, familyFolder("gpt2"));
    using adapter = createAdapter({ model: other, rank: 1, alpha: 1, seed: 0 });
    await expect(withAdapter(model, adapter)).rejects.toMatchObject({ code: "ADAPTER_MODULES" });
    expect(() =>
      createAdapter({ model, rank: 1, alpha: 1, seed: 0, targetModules: ["q_proj"] }),
    ).toThrow(
      expect.objectContaining({
        code: "ADAPTER_TARGETS",
        message: "a gpt_neox model has no modules named q_proj",
        fix: expect.stringContaining("query_key_value"),
      }),
    );
  });
});
