// Commands over SAEs of other libraries' formats, with the fixtures of packages/sae.
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { openSafetensorsFile, writeSafetensors } from "@latentkit/loaders/node";
import { registerMatchers } from "@latentkit/tensor/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { run } from "./testing/run.ts";

registerMatchers(expect);

const fixtures = fileURLToPath(
  new URL("../../../packages/sae/src/__fixtures__/formats/", import.meta.url),
);
const dictionary = join(fixtures, "dictionary-learning/GatedAutoEncoder/trainer_0");
const transcoder = join(fixtures, "saelens/jumprelu-skip-transcoder");

let folder = "";
let input = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "latentkit-sae-formats-"));
  input = join(folder, "x.safetensors");
  const golden = await openSafetensorsFile(join(fixtures, "golden.safetensors"));
  const bytes = await golden.readFloats("x");
  await golden.close();
  await writeSafetensors(input, [{ name: "input", dtype: "f32", shape: [7, 6], bytes }]);
});
afterAll(() => rm(folder, { recursive: true }));

async function encoded(sae: string, ...more: string[]) {
  const out = join(folder, "encoded.safetensors");
  const { code, stdout, stderr } = await run(
    ["sae", "encode", sae, "--input", input, "--out", out, "--json", "--quiet", ...more],
    { env: { HF_HUB_OFFLINE: "1", HF_HOME: folder } },
  );
  expect(code, stderr).toBe(0);
  const store = await openSafetensorsFile(out);
  const result = {
    summary: JSON.parse(stdout) as unknown,
    features: await store.readFloats("features"),
    reconstruction: await store.readFloats("reconstruction"),
  };
  await store.close();
  return result;
}

describe("sae encode", () => {
  it("encodes and decodes with a format's own numbers", async () => {
    const golden = await openSafetensorsFile(join(fixtures, "golden.safetensors"));
    const cases = [
      [dictionary, "dictionary-learning/GatedAutoEncoder", 6],
      [transcoder, "saelens/jumprelu-skip-transcoder", 4],
    ] as const;
    for (const [sae, name, dOut] of cases) {
      const { summary, features, reconstruction } = await encoded(sae);
      expect(summary).toMatchObject({ rows: 7, dIn: 6, dOut, dSae: 16 });
      const tolerance = { rtol: 1e-5, atol: 1e-5 };
      expect(features).toBeClose(await golden.readFloats(`${name}.features`), tolerance);
      expect(reconstruction).toBeClose(
        await golden.readFloats(`${name}.reconstruction`),
        tolerance,
      );
    }
    await golden.close();
  });
});

describe("sae convert", () => {
  it.each([
    ["saelens", ["cfg.json", "sae_weights.safetensors"]],
    ["gemma-scope", ["params.npz"]],
  ])("to %s keeps what the SAE computes", async (format, files) => {
    const out = join(folder, format);
    const { code, stdout, stderr } = await run(
      ["sae", "convert", dictionary, "--to", format, "--out", out, "--json", "--quiet"],
      {},
    );
    expect(code, stderr).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      from: "dictionary-learning",
      to: format,
      architecture: "jumprelu",
      dSae: 16,
      folds: ["the gate, into thresholds"],
    });
    expect((await readdir(out)).sort()).toEqual(files);
    const [before, after] = [await encoded(dictionary), await encoded(out)];
    // Gemma Scope has no subtraction of b_dec: other sums, of 6 terms.
    const tolerance = { rtol: 1e-5, atol: 2e-6 };
    expect(after.features).toBeClose(before.features, tolerance);
    expect(after.reconstruction).toBeClose(before.reconstruction, tolerance);
  });

  it.each([
    [["--to", "saelense"], /SAE_FORMAT_NOT_WRITTEN.*did you mean "saelens"/su],
    [["--to", "gemma-scope"], /SAE_NOT_PLAIN.*skip connection/su],
  ])("%s is refused, in words", async (flags, says) => {
    const { code, stderr } = await run(
      ["sae", "convert", transcoder, ...flags, "--out", join(folder, "no"), "--quiet"],
      {},
    );
    expect(code).toBe(1);
    expect(stderr).toMatch(says);
  });

  it("explains a release that there is not, and files of no format", async () => {
    const release = await run(
      [
        "sae",
        "convert",
        "gemma-scope-2b-pt-rez/layer_1",
        "--to",
        "saelens",
        "--out",
        "x",
        "--quiet",
      ],
      {},
    );
    expect(release.stderr).toMatch(/SAE_RELEASE_UNKNOWN.*did you mean "gemma-scope-2b-pt-res"/su);
    const none = await run(
      ["sae", "encode", fixtures, "--input", input, "--out", "x", "--quiet"],
      {},
    );
    expect(none.stderr).toMatch(/SAE_FORMAT_UNKNOWN.*golden\.safetensors.*params\.npz.*ae\.pt/su);
  });
});

describe("inspect", () => {
  it.each([
    [dictionary, "dictionary-learning", "mag_bias  F32  [16]"],
    [transcoder, "saelens", "W_skip  F32  [4, 6]"],
    [
      join(fixtures, "gemma-scope/google/gemma-scope-2b-pt-res/layer_20/width_16k/average_l0_71"),
      "gemma-scope",
      "threshold  F32  [16]",
    ],
    [
      join(
        fixtures,
        "torch/qresearch/DeepSeek-R1-Distill-Llama-8B-SAE-l19/DeepSeek-R1-Distill-Llama-8B-SAE-l19.pt",
      ),
      "deepseek-r1",
      "encoder.weight  BF16  [16, 6]",
    ],
    [
      join(fixtures, "llama-scope/Llama3_1-8B-Base-L3R-8x"),
      "llama-scope",
      "encoder.bias  F32  [16]",
    ],
  ])("%s says its format, its sizes and its tensors", async (path, format, tensor) => {
    const { code, stdout, stderr } = await run(["inspect", path, "--json"], {});
    expect(code, stderr).toBe(0);
    const found = JSON.parse(stdout) as { tables: { lines: string[] }[] };
    expect(found).toMatchObject({ kind: "sae", facts: { format, dIn: 6, dSae: 16 } });
    expect(found.tables[0]?.lines).toContain(tensor);
  });
});
