// Against PEFT and PyTorch; see oracles/lora.
import { LatentkitError } from "@latentkit/core";
import { encodeSafetensors, type TensorToWrite } from "@latentkit/loaders";
import type { LanguageModel } from "@latentkit/models";
import { createReferenceBackend, Device } from "@latentkit/tensor";
import { cp, mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { adapterGradients, trainAdapter, withAdapter } from "../index.ts";
import { fixture, loadBase, ourAdapter, ourAdapters, readFixture } from "../testing/fixtures.ts";
import { loadAdapter, saveAdapter } from "./index.ts";

const device = new Device(createReferenceBackend());
let model: LanguageModel;
let golden: Awaited<ReturnType<typeof readFixture>>;
let scratch: string;
beforeAll(async () => {
  model = await loadBase(device);
  golden = await readFixture("logits.safetensors");
  scratch = await mkdtemp(join(tmpdir(), "latentkit-lora-"));
});
afterAll(async () => {
  model.dispose();
  await rm(scratch, { recursive: true, force: true });
});

async function logitsOf(of: LanguageModel): Promise<Float32Array> {
  using result = of.run(golden.rows("tokens"));
  return result.logits!.floats();
}

function largestDifference(a: Float32Array, b: Float32Array): number {
  expect(a.length).toBe(b.length);
  return a.reduce((most, value, index) => Math.max(most, Math.abs(value - b[index]!)), 0);
}

describe("adapters that PEFT wrote", () => {
  it("the base model has transformers' logits", async () => {
    expect(largestDifference(await logitsOf(model), golden.floats("base"))).toBeLessThan(1e-5);
  });

  it.each(["plain", "rslora"])("%s gives PEFT's logits", async (name) => {
    using adapter = await loadAdapter(fixture(name), { model });
    using adapted = await withAdapter(model, adapter);
    expect(largestDifference(await logitsOf(adapted.model), golden.floats(name))).toBeLessThan(
      2e-5,
    );
  });

  it.each(["plain", "rslora"])("%s keeps its weights when saved again", async (name) => {
    using adapter = await loadAdapter(fixture(name), { model });
    await saveAdapter(adapter, join(scratch, name));
    const [ours, theirs] = await Promise.all(
      [join(scratch, name), fixture(name)].map((folder) =>
        readFile(join(folder, "adapter_model.safetensors")),
      ),
    );
    expect(ours).toEqual(theirs);
  });
});

describe("adapters that we write", () => {
  it.each(ourAdapters)("%s has the bytes that PEFT was shown", async (name) => {
    using adapter = ourAdapter(model, name);
    await saveAdapter(adapter, join(scratch, name));
    for (const file of ["adapter_config.json", "adapter_model.safetensors"])
      expect(await readFile(join(scratch, name, file))).toEqual(
        await readFile(fixture(`ours/${name}/${file}`)),
      );
  });

  it.each(ourAdapters)("%s gives the logits that PEFT computed from it", async (name) => {
    const theirs = await readFixture("ours/golden.safetensors");
    using adapter = await loadAdapter(fixture(`ours/${name}`), { model });
    using adapted = await withAdapter(model, adapter);
    expect(largestDifference(await logitsOf(adapted.model), theirs.floats(name))).toBeLessThan(
      2e-5,
    );
    using made = ourAdapter(model, name);
    expect(adapter.config).toEqual({ ...made.config, targetModules: adapter.config.targetModules });
  });
});

describe("training", () => {
  it("has PyTorch's gradients in the first step and its losses in all", async () => {
    const run = await readFixture("training.safetensors");
    const settings = {
      steps: 24,
      warmUpSteps: 4,
      microBatches: 2,
      learningRate: 0.02,
      betas: [0.9, 0.95] as const,
      weightDecay: 0.05,
      maxGradientNorm: 0.5,
    };
    const [tokens, targets] = [run.rows("tokens"), run.rows("targets")];
    const batches = (index: number) => ({
      tokens: tokens.slice(3 * index, 3 * index + 3),
      targets: targets.slice(3 * index, 3 * index + 3),
    });
    using adapter = await loadAdapter(fixture("plain"), { model });

    const joined = { tokens: tokens.slice(0, 6), targets: targets.slice(0, 6) };
    const { value, gradients } = adapterGradients(model, adapter, joined);
    expect(Math.abs((await value.item()) - run.floats("f64.losses")[0]!)).toBeLessThan(1e-5);
    value.dispose();
    for (const [name, { a, b }] of Object.entries(gradients)) {
      for (const [letter, gradient] of [
        ["A", a],
        ["B", b],
      ] as const) {
        const expected = run.floats(`gradient.${name}.lora_${letter}`);
        const size = Math.sqrt(expected.reduce((sum, one) => sum + one * one, 0) / expected.length);
        expect(largestDifference(await gradient.floats(), expected), name).toBeLessThan(
          1e-4 * size,
        );
        gradient.dispose();
      }
    }

    const { steps } = await trainAdapter({ model, adapter, batches, config: settings });
    // f32 in PyTorch differs from f64 by up to 2e-6 here; ours may too.
    expect(
      largestDifference(
        Float32Array.from(steps, ({ loss }) => loss),
        run.floats("f64.losses"),
      ),
    ).toBeLessThan(1e-4);
    expect(
      largestDifference(
        Float32Array.from(steps, ({ gradientNorm }) => gradientNorm),
        run.floats("f64.norms"),
      ),
    ).toBeLessThan(1e-3);
    for (const [name, { a, b }] of await adapter.values()) {
      expect(largestDifference(a, run.floats(`last.${name}.lora_A`)), name).toBeLessThan(1e-3);
      expect(largestDifference(b, run.floats(`last.${name}.lora_B`)), name).toBeLessThan(1e-3);
    }
  });
});

describe("what is refused", () => {
  const config = async (): Promise<Record<string, unknown>> =>
    JSON.parse(await readFile(join(fixture("plain"), "adapter_config.json"), "utf8"));
  const withConfig = async (change: Record<string, unknown>): Promise<string> => {
    const folder = await mkdtemp(join(scratch, "refused-"));
    await cp(fixture("plain"), folder, { recursive: true });
    await writeFile(
      join(folder, "adapter_config.json"),
      JSON.stringify({ ...(await config()), ...change }),
    );
    return folder;
  };

  it.each<readonly [string, Record<string, unknown>, string]>([
    ["DoRA", { use_dora: true }, "use_dora"],
    ["trained biases", { bias: "lora_only" }, "bias"],
    ["whole modules", { modules_to_save: ["lm_head"] }, "modules_to_save"],
    ["ranks by module", { rank_pattern: { q_proj: 8 } }, "rank_pattern"],
    ["another method", { peft_type: "IA3" }, "IA3"],
    ["a changed base", { init_lora_weights: "pissa_niter_4" }, "pissa"],
    ["embeddings", { target_modules: ["embed_tokens", "q_proj"] }, "embed_tokens"],
  ])("%s, naming it", async (_name, change, word) => {
    const error: unknown = await loadAdapter(await withConfig(change), { model }).catch(
      (reason: unknown) => reason,
    );
    expect(error).toMatchObject({ code: "ADAPTER_UNSUPPORTED" });
    expect(LatentkitError.isInstance(error) && error.message).toContain(word);
  });

  it("not fields that it does not know, initialisations that leave the base alone, or a pattern of modules", async () => {
    const folder = await withConfig({
      some_new_field: 3,
      init_lora_weights: "eva",
      target_modules: ".*proj",
      lora_dropout: 0.1,
    });
    using adapter = await loadAdapter(folder, { model });
    expect(adapter.modules).toHaveLength(14);
  });

  it.each<readonly [string, Record<string, unknown>, string]>([
    ["another rank than the weights'", { r: 8 }, "ADAPTER_SHAPE"],
    ["more modules than the weights have", { layers_to_transform: [0] }, "ADAPTER_MODULES"],
    ["no rank", { r: null }, "ADAPTER_CONFIG"],
  ])("%s", async (_name, change, code) => {
    await expect(loadAdapter(await withConfig(change), { model })).rejects.toMatchObject({ code });
  });

  it.each<readonly [string, (tensors: TensorToWrite[]) => TensorToWrite[], string]>([
    ["a lone factor", (tensors) => tensors.slice(1), "ADAPTER_WEIGHTS"],
    ["no factors", () => [], "ADAPTER_WEIGHTS"],
    [
      "factors of an embedding",
      (tensors) => [
        ...tensors,
        {
          name: "base_model.model.model.embed_tokens.lora_embedding_A",
          dtype: "f32",
          shape: [1],
          bytes: Float32Array.of(1),
        },
      ],
      "ADAPTER_WEIGHTS",
    ],
    [
      "NaN",
      (tensors) =>
        tensors.map((tensor, index) =>
          index === 3
            ? { ...tensor, bytes: (tensor.bytes as Float32Array).fill(Number.NaN) }
            : tensor,
        ),
      "ADAPTER_NOT_FINITE",
    ],
  ])("%s in the weights", async (_name, change, code) => {
    const folder = await withConfig({});
    const theirs = await readFixture("plain/adapter_model.safetensors");
    const tensors = theirs.names.map((name): TensorToWrite => {
      const bytes = theirs.floats(name);
      const width = theirs.rows(name)[0]?.length ?? 0;
      return { name, dtype: "f32", shape: [bytes.length / width, width], bytes };
    });
    await writeFile(join(folder, "adapter_model.safetensors"), encodeSafetensors(change(tensors)));
    await expect(loadAdapter(folder, { model })).rejects.toMatchObject({ code });
  });

  it("a pickle, which is never executed", async () => {
    const folder = await withConfig({});
    await rename(join(folder, "adapter_model.safetensors"), join(folder, "adapter_model.bin"));
    await expect(loadAdapter(folder, { model })).rejects.toMatchObject({
      code: "ADAPTER_UNSUPPORTED",
      message: expect.stringContaining("adapter_model.bin, a pickle"),
    });
  });

  it("a folder without weights", async () => {
    await expect(loadAdapter(join(scratch, "nowhere"), { model })).rejects.toMatchObject({
      code: "FILE_MISSING",
    });
  });
});
