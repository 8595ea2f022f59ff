// --adapter, and inspect of an adapter, with one that PEFT wrote for a small GPT-2; see oracles/lora/families.py.
import { createAdapter, LoraAdapter } from "@latentkit/lora";
import { saveAdapter } from "@latentkit/lora/node";
import { openSafetensorsFile } from "@latentkit/loaders/node";
import { byteTokenizer } from "@latentkit/loaders";
import { randomModel } from "@latentkit/models";
import { createReferenceBackend, Device } from "@latentkit/tensor";
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { run } from "./testing/run.ts";

const packages = fileURLToPath(new URL("../../../packages/", import.meta.url));
const base = join(packages, "models/src/__fixtures__/families/gpt2");
const adapter = join(packages, "lora/src/__fixtures__/families/gpt2");
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "latentkit-cli-adapter-"));
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

async function floatsOf(path: string, name: string): Promise<Float32Array> {
  const store = await openSafetensorsFile(path);
  const values = await store.readFloats(name);
  await store.close();
  return values;
}

/** The tokens that the goldens were made with, as `--tokens` takes them. */
async function goldenTokens(): Promise<string> {
  const store = await openSafetensorsFile(join(base, "golden.safetensors"));
  const ids = [...(await store.readIntegers("tokens"))];
  await store.close();
  return `${ids.slice(0, 12).join(",")};${ids.slice(12).join(",")}`;
}

function largestDifference(a: Float32Array, b: Float32Array): number {
  expect(a.length).toBe(b.length);
  return a.reduce((most, value, index) => Math.max(most, Math.abs(value - (b[index] ?? 0))), 0);
}

describe("capture and generate with --adapter", () => {
  it("compute what PEFT computes", async () => {
    const out = join(folder, "adapted.safetensors");
    const tokens = await goldenTokens();
    const common = [base, "--tokens", tokens, "--sites", "logits", "--out", out, "--quiet"];
    expect((await run(["capture", ...common, "--adapter", adapter])).code).toBe(0);
    const adapted = await floatsOf(out, "logits");
    const expected = await floatsOf(join(adapter, "golden.safetensors"), "logits");
    expect(largestDifference(adapted, expected)).toBeLessThan(1e-4);
    // The file says whose values it holds.
    const store = await openSafetensorsFile(out);
    expect(store.metadata).toMatchObject({
      weights: expect.stringMatching(/\+lora:[0-9a-f]{64}$/),
    });
    await store.close();

    const first = tokens.split(";")[0] ?? "";
    const generate = ["generate", base, "--tokens", first, "--greedy", "--max-tokens", "1"];
    const { stdout } = await run([...generate, "--adapter", adapter, "--json", "--quiet"]);
    const last = expected.subarray(11 * 43, 12 * 43);
    expect(JSON.parse(stdout)).toMatchObject({ tokens: [last.indexOf(Math.max(...last))] });
  });

  it("refuse an adapter that is not there, or not of this model, in two lines", async () => {
    const args = ["generate", base, "--tokens", "1,2", "--max-tokens", "1", "--quiet", "--adapter"];
    const missing = await run([...args, join(folder, "nowhere")]);
    expect([missing.code, missing.stderr]).toEqual([1, expect.stringContaining("FILE_MISSING")]);
    const other = await run([...args, join(packages, "lora/src/__fixtures__/plain")]);
    expect([other.code, other.stderr]).toEqual([1, expect.stringContaining("ADAPTER_WEIGHTS")]);
    for (const { stderr } of [missing, other]) expect(stderr.trimEnd().split("\n")).toHaveLength(2);
  });
});

it("serve --adapter answers with the adapted model", async () => {
  const made = join(folder, "of-random");
  {
    // The model that `random` is with the default seed.
    using device = new Device(createReferenceBackend());
    using model = randomModel({ device, seed: 0, tokenizer: byteTokenizer() });
    using fresh = createAdapter({ model, rank: 1, alpha: 1, seed: 1 });
    const values = [...(await fresh.values())].map(
      ([name, { a, b }]) => [name, { a, b: b.map((_, at) => Math.cos(at)) }] as const,
    );
    using changed = new LoraAdapter(model, fresh.config, new Map(values));
    await saveAdapter(changed, made);
  }
  const ask = async (more: string[]) => {
    const controller = new AbortController();
    const asked: Promise<OpenAI.Completion>[] = [];
    await run(["serve", "random", "--port", "0", "--json", "--quiet", ...more], {
      signal: controller.signal,
      onStdout: (all) => {
        if (asked.length > 0 || !all.includes("\n")) return;
        const { url } = JSON.parse(all) as { readonly url: string };
        const client = new OpenAI({ baseURL: url, apiKey: "none", maxRetries: 0 });
        const answer = client.completions
          .create({ model: "random", prompt: "ab", max_tokens: 8, temperature: 0, seed: 0 })
          .finally(() => controller.abort());
        asked.push(answer);
      },
    });
    return asked[0];
  };
  const [plain, adapted] = [await ask([]), await ask(["--adapter", made])];
  expect(adapted?.choices[0]?.text).not.toBe(plain?.choices[0]?.text);
  expect(adapted?.system_fingerprint).not.toBe(plain?.system_fingerprint);
});

describe("inspect", () => {
  it("says what an adapter is", async () => {
    const { code, stdout } = await run(["inspect", adapter, "--json"]);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      kind: "adapter",
      facts: {
        method: "LORA",
        "base model": "gpt2",
        rank: 2,
        alpha: 3,
        scale: 1.5,
        "target modules": "c_attn, c_fc, c_proj",
        layers: "all",
        "can be used": true,
        // For each layer 2 (inputs + outputs) of four matrices.
        parameters: 2 * 2 * (24 + 72 + 24 + 24 + 24 + 96 + 96 + 24),
      },
      tables: [{ lines: expect.arrayContaining([expect.stringContaining("lora_A.weight  F32")]) }],
    });
  });

  it("says why one cannot be used", async () => {
    const copy = join(folder, "dora");
    await cp(adapter, copy, { recursive: true });
    const path = join(copy, "adapter_config.json");
    const config = JSON.parse(await readFile(path, "utf8")) as object;
    await writeFile(path, JSON.stringify({ ...config, use_dora: true }));
    const { stdout } = await run(["inspect", copy, "--json"]);
    expect(JSON.parse(stdout)).toMatchObject({
      facts: { "can be used": expect.stringContaining("use_dora") },
    });
  });
});
