import { createReferenceBackend, Device, sparseToDense } from "@latentkit/tensor";
import { expectNoLeaks, registerMatchers } from "@latentkit/tensor/testing";
import { openSafetensors, type SafetensorsStore } from "@latentkit/loaders";
import { openFile } from "@latentkit/loaders/node";
import { LatentkitError } from "@latentkit/core";
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "vitest";
import type { Sae } from "../sae.ts";
import { exampleExport, exportedKinds } from "../testing/example-export.ts";
import { exampleSae } from "../testing/example-sae.ts";
import { loadSae } from "./load-sae.ts";
import { saveSae } from "./save-sae.ts";

registerMatchers(expect);

// Made by oracles/sae/make.py, make-ours.ts and check_saelens_reads.py.
const fixtures = fileURLToPath(new URL("../__fixtures__", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "latentkit-sae-"));
const device = new Device(createReferenceBackend());
afterAll(() => {
  rmSync(folder, { recursive: true });
  expectNoLeaks(device);
  device.dispose();
});

async function golden(path: string): Promise<SafetensorsStore> {
  return openSafetensors(await openFile(join(fixtures, path, "golden.safetensors")));
}

async function run(
  sae: Sae,
  x: Float32Array,
): Promise<{ readonly features: Float32Array; readonly reconstruction: Float32Array }> {
  const dIn = sae.config.dIn;
  const [dense, decoded] = device.scope(() => {
    const rows = sae.encode(device.tensor(x, [x.length / dIn, dIn]));
    return [sparseToDense(rows), sae.decode(rows)] as const;
  });
  using features = dense;
  using reconstruction = decoded;
  return { features: await features.floats(), reconstruction: await reconstruction.floats() };
}

// f32 on both sides, sums of 8 and 24 terms of order 1.
const tolerance = { rtol: 1e-5, atol: 2e-6 };

describe("checkpoints that SAELens wrote", () => {
  it.each(["topk", "topk-rescaled", "jumprelu", "standard", "legacy-topk", "scaled", "gated"])(
    "%s encodes and decodes as SAELens does",
    async (name) => {
      const store = await golden("saelens");
      const x = await store.readFloats("x");
      using sae = await loadSae(join(fixtures, "saelens", name), { device });
      const result = await run(sae, x);
      const [features, reconstruction] = [
        await store.readFloats(`${name}.features`),
        await store.readFloats(`${name}.reconstruction`),
      ];
      await store.close();
      expect(features.some((value) => value > 0)).toBe(true);
      expect(result.features).toBeClose(features, tolerance);
      expect(result.reconstruction).toBeClose(reconstruction, tolerance);
    },
  );

  it("keeps what the configuration says", async () => {
    using topK = await loadSae(join(fixtures, "saelens/topk"), { device });
    expect(topK.config).toMatchObject({
      architecture: "topk",
      k: 4,
      dIn: 8,
      dSae: 20,
      applyBDecToInput: true,
      reshapeActivations: "none",
    });
    expect(topK.config.metadata).toMatchObject({
      modelName: "example/model",
      hookName: "blocks.3.hook_mlp_out",
      contextSize: 64,
      prependBos: true,
    });
    using legacy = await loadSae(join(fixtures, "saelens/legacy-topk"), { device });
    expect(legacy.config).toMatchObject({
      architecture: "topk",
      k: 4,
      applyBDecToInput: true,
      reshapeActivations: "hook_z",
      metadata: { hookName: "blocks.3.attn.hook_z", prependBos: true },
    });
    using standard = await loadSae(join(fixtures, "saelens/standard"), { device });
    expect(standard.config).toMatchObject({
      architecture: "jumprelu",
      metadata: { convertedFrom: "standard" },
    });
  });

  it("takes the input scale as an option where no file has it", async () => {
    const alone = copyOf("saelens/scaled");
    rmSync(join(alone, "activation_scaler.json"));
    await expect(loadSae(alone, { device })).rejects.toMatchObject({
      code: "SAE_INPUT_SCALE_UNKNOWN",
    });
    using given = await loadSae(alone, { device, inputScale: 2.5 });
    using read = await loadSae(join(fixtures, "saelens/scaled"), { device });
    expect(await given.identity()).toBe(await read.identity());
  });
});

describe("checkpoints that we write", () => {
  it.each(["jumprelu", "topk"] as const)(
    "%s: the bytes are those that SAELens was shown",
    async (architecture) => {
      using sae = exampleSae(device, architecture);
      const out = join(folder, `ours-${architecture}`);
      await saveSae(sae, out, {
        densities: Float32Array.from({ length: 24 }, (_, latent) => latent / 64),
      });
      const shown = join(fixtures, "ours", architecture);
      expect(readdirSync(out).sort()).toEqual(readdirSync(shown).sort());
      for (const file of readdirSync(shown))
        expect(readFileSync(join(out, file)).equals(readFileSync(join(shown, file))), file).toBe(
          true,
        );
    },
  );

  it("in f16 is half as large, and read back as SAELens reads it", async () => {
    const shown = join(fixtures, "ours/jumprelu-f16");
    using original = exampleSae(device, "jumprelu");
    await saveSae(original, join(folder, "half"), {
      densities: new Float32Array(24),
      dtype: "f16",
    });
    const file = "sae_weights.safetensors";
    const bytes = readFileSync(join(folder, "half", file));
    expect(bytes.equals(readFileSync(join(shown, file)))).toBe(true);
    const store = await golden("ours");
    using sae = await loadSae(shown, { device });
    const half = await run(sae, await store.readFloats("x"));
    expect(half.features).toBeClose(await store.readFloats("jumprelu-f16.features"), tolerance);
    expect(half.reconstruction).toBeClose(
      await store.readFloats("jumprelu-f16.reconstruction"),
      tolerance,
    );
    await store.close();
    // Each weight within half a unit in the last of 11 bits, or of the smallest subnormal.
    const [rounded, exact] = [await sae.weights(), await original.weights()];
    expect(rounded.decoder).toBeClose(exact.decoder, { rtol: 2 ** -11, atol: 2 ** -25 });
    expect(rounded.decoder).not.toEqual(exact.decoder);
  });

  it.each(["jumprelu", "topk"] as const)(
    "%s: SAELens encodes and decodes with it as we do",
    async (architecture) => {
      const result: unknown = JSON.parse(readFileSync(join(fixtures, "ours/result.json"), "utf8"));
      expect(result).toMatchObject({
        read: {
          [architecture]: {
            class: architecture === "topk" ? "TopKSAE" : "JumpReLUSAE",
            hook_name: "blocks.1.hook_resid_post",
            prepend_bos: false,
          },
        },
      });
      const store = await golden("ours");
      const x = await store.readFloats("x");
      using sae = exampleSae(device, architecture);
      const ours = await run(sae, x);
      expect(ours.features).toBeClose(
        await store.readFloats(`${architecture}.features`),
        tolerance,
      );
      expect(ours.reconstruction).toBeClose(
        await store.readFloats(`${architecture}.reconstruction`),
        tolerance,
      );
      await store.close();
    },
  );

  it.each(exportedKinds)(
    "%s, as exported from training: SAELens was shown these bytes, and does with them what we do",
    async (kind) => {
      using sae = exampleExport(device, kind);
      const out = join(folder, `from-${kind}`);
      await saveSae(sae, out, { densities: new Float32Array(24) });
      const shown = join(fixtures, "ours", `from-${kind}`);
      expect(readdirSync(out).sort()).toEqual(readdirSync(shown).sort());
      for (const file of readdirSync(shown))
        expect(readFileSync(join(out, file)).equals(readFileSync(join(shown, file))), file).toBe(
          true,
        );
      const store = await golden("ours");
      const ours = await run(sae, await store.readFloats("x"));
      const features = await store.readFloats(`from-${kind}.features`);
      expect(features.some((value) => value > 0)).toBe(true);
      expect(features.some((value) => value === 0)).toBe(true);
      expect(ours.features).toBeClose(features, tolerance);
      expect(ours.reconstruction).toBeClose(
        await store.readFloats(`from-${kind}.reconstruction`),
        tolerance,
      );
      await store.close();
    },
  );

  it.each(["jumprelu", "topk"] as const)(
    "%s: comes back with the same identity, configuration and bytes",
    async (architecture) => {
      using sae = exampleSae(device, architecture);
      const [first, second] = [
        join(folder, `first-${architecture}`),
        join(folder, `second-${architecture}`),
      ];
      await saveSae(sae, first);
      using back = await loadSae(first, { device });
      expect(await back.identity()).toBe(await sae.identity());
      expect(back.config).toMatchObject(sae.config);
      await saveSae(back, second);
      for (const file of readdirSync(first))
        expect(readFileSync(join(second, file)).equals(readFileSync(join(first, file))), file).toBe(
          true,
        );
    },
  );
});

describe("what cannot be loaded says why", () => {
  it("an unknown architecture, with the known ones", async () => {
    const bad = copyOf("saelens/topk", { architecture: "jumprelo" });
    await expect(loadSae(bad, { device })).rejects.toThrow(
      /"jumprelo".*did you mean "jumprelu".*standard, gated, jumprelu, topk/su,
    );
    await expect(loadSae(bad, { device })).rejects.toMatchObject({
      code: "SAE_ARCHITECTURE_UNKNOWN",
    });
    await expect(
      loadSae(copyOf("saelens/topk", { architecture: "temporal" }), { device }),
    ).rejects.toMatchObject({ code: "SAE_ARCHITECTURE_UNKNOWN" });
  });

  it("a normalisation that is not known, or whose numbers are not in the files", async () => {
    const mode = (normalize_activations: string) =>
      loadSae(copyOf("saelens/topk", { normalize_activations }), { device });
    await expect(mode("something_new")).rejects.toMatchObject({ code: "SAE_UNSUPPORTED" });
    await expect(mode("covariance_whitening")).rejects.toMatchObject({
      code: "SAE_WHITENING_UNKNOWN",
    });
  });

  it("an SAE that normalises each token decodes only with what was encoded", async () => {
    const path = copyOf("saelens/topk", { normalize_activations: "layer_norm" });
    using sae = await loadSae(path, { device });
    using x = device.tensor(Float32Array.from({ length: 16 }, Math.sin), [2, 8]);
    device.scope(() => {
      const latents = sae.encode(x);
      expect(() => sae.decode(latents)).toThrow(
        expect.objectContaining({ code: "SAE_SCALE_INPUT" }),
      );
      expect(sae.decode(latents, x).shape).toEqual([2, 8]);
    });
  });

  it("sizes that are not those of the configuration", async () => {
    await expect(loadSae(copyOf("saelens/topk", { d_in: 9 }), { device })).rejects.toThrow(
      /W_enc has shape \[8, 20\].*\[9, 20\]/su,
    );
    await expect(loadSae(copyOf("saelens/topk", { k: 21 }), { device })).rejects.toMatchObject({
      code: "SAE_CONFIG_INVALID",
    });
    await expect(loadSae(copyOf("saelens/topk", { d_in: "eight" }), { device })).rejects.toThrow(
      /d_in/u,
    );
  });

  it("a missing tensor, by name", async () => {
    await expect(
      loadSae(copyOf("saelens/topk", { architecture: "gated" }), { device }),
    ).rejects.toThrow(/b_mag/u);
    await expect(
      loadSae(copyOf("saelens/topk", { architecture: "jumprelu" }), { device }),
    ).rejects.toThrow(/threshold/u);
  });

  it("weights that are not numbers", async () => {
    const bad = copyOf("saelens/jumprelu");
    const path = join(bad, "sae_weights.safetensors");
    const bytes = readFileSync(path);
    bytes.writeFloatLE(Number.NaN, bytes.length - 12);
    writeFileSync(path, bytes);
    await expect(loadSae(bad, { device })).rejects.toMatchObject({
      code: "SAE_WEIGHTS_NOT_FINITE",
    });
  });

  it("a truncated file, a folder without one, JSON that is none", async () => {
    const bad = copyOf("saelens/jumprelu");
    const path = join(bad, "sae_weights.safetensors");
    writeFileSync(path, readFileSync(path).subarray(0, 500));
    await expect(loadSae(bad, { device })).rejects.toSatisfy((error: unknown) =>
      LatentkitError.isInstance(error),
    );
    await expect(loadSae(join(folder, "nowhere"), { device })).rejects.toMatchObject({
      code: "FILE_MISSING",
    });
    writeFileSync(join(bad, "cfg.json"), "{");
    await expect(loadSae(bad, { device })).rejects.toMatchObject({ code: "JSON_SYNTAX" });
  });

  it("activations of another width, naming both", async () => {
    using sae = exampleSae(device, "topk");
    using x = device.zeros([3, 9]);
    expect(() => sae.encode(x)).toThrow(/9 wide.*blocks\.1\.hook_resid_post.*width 8/su);
    expect(() => sae.reconstruct(x)).toThrow(expect.objectContaining({ code: "SAE_WIDTH" }));
    using cube = device.zeros([3, 2, 8]);
    expect(() => sae.encode(cube)).toThrow(/\[n, 8\].*\[3, 2, 8\]/su);
  });
});

let copies = 0;

/** A copy of a fixture with other fields in its configuration. */
function copyOf(name: string, changes: Record<string, unknown> = {}): string {
  const copy = join(folder, `copy-${copies++}`);
  cpSync(join(fixtures, name), copy, { recursive: true });
  const path = join(copy, "cfg.json");
  const config: unknown = JSON.parse(readFileSync(path, "utf8"));
  writeFileSync(
    path,
    JSON.stringify({ ...(typeof config === "object" ? config : {}), ...changes }),
  );
  return copy;
}
