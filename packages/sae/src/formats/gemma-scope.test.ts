import { encodeNpz, type NpyArrayToWrite, openSafetensors, parseNpz } from "@latentkit/loaders";
import { openFile } from "@latentkit/loaders/node";
import { createReferenceBackend, Device, sparseToDense } from "@latentkit/tensor";
import { expectNoLeaks, registerMatchers } from "@latentkit/tensor/testing";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "vitest";
import type { Sae } from "../sae.ts";
import { exampleSae } from "../testing/example-sae.ts";
import { gemmaScopeNpz, saeFromGemmaScopeNpz } from "./gemma-scope.ts";

registerMatchers(expect);

const device = new Device(createReferenceBackend());
afterAll(() => {
  expectNoLeaks(device);
  device.dispose();
});

const fixture = (name: string) =>
  fileURLToPath(new URL(`../__fixtures__/ours/${name}`, import.meta.url));
const read = (bytes: Uint8Array<ArrayBuffer>) =>
  saeFromGemmaScopeNpz(bytes, { device, where: "params.npz" });

async function features(sae: Sae, x: Float32Array): Promise<Float32Array> {
  using dense = device.scope(() =>
    sparseToDense(sae.encode(device.tensor(x, [x.length / sae.config.dIn, sae.config.dIn]))),
  );
  return dense.floats();
}

/** Arrays of an SAE of 2 features and 3 latents, with some of them changed. */
function arrays(
  changes: Readonly<Record<string, NpyArrayToWrite | null>> = {},
): Record<string, NpyArrayToWrite> {
  const all: Record<string, NpyArrayToWrite | null> = {
    W_enc: { shape: [2, 3], values: Float32Array.of(1, 2, 3, 4, 5, 6) },
    W_dec: { shape: [3, 2], values: Float32Array.of(1, 0, 0, 1, 1, 1) },
    b_enc: { shape: [3], values: Float32Array.of(0.5, 0, -0.5) },
    b_dec: { shape: [2], values: Float32Array.of(10, 20) },
    threshold: { shape: [3], values: Float32Array.of(1, 2, 3) },
    ...changes,
  };
  return Object.fromEntries(
    Object.entries(all).flatMap(([name, array]) => (array === null ? [] : [[name, array]])),
  );
}

describe("gemmaScopeNpz", () => {
  it("writes what numpy was shown, whose forward pass is that of SAELens on the same SAE", async () => {
    using sae = exampleSae(device, "jumprelu");
    expect(await gemmaScopeNpz(sae)).toEqual(new Uint8Array(readFileSync(fixture("params.npz"))));
  });

  it("folds the subtraction of b_dec: the file's SAE gives the same features without it", async () => {
    using sae = exampleSae(device, "jumprelu");
    expect(sae.config.applyBDecToInput).toBe(true);
    using back = await read(await gemmaScopeNpz(sae));
    expect(back.config.applyBDecToInput).toBe(false);
    const golden = await openSafetensors(await openFile(fixture("golden.safetensors")));
    const x = await golden.readFloats("x");
    const wanted = await golden.readFloats("jumprelu.features");
    await golden.close();
    // f32 on both sides, sums of 8 and 24 terms of order 1.
    expect(await features(back, x)).toBeClose(wanted, { rtol: 1e-5, atol: 2e-6 });
    const [before, after] = [await sae.weights(), await back.weights()];
    expect(after.decoder).toEqual(before.decoder);
    expect(after.encoderRows).toEqual(before.encoderRows);
    expect(after.threshold).toEqual(before.threshold);
    expect(after.encoderBias).not.toEqual(before.encoderBias);
  });

  it("is the same SAE again where there is nothing to fold", async () => {
    using once = await read(encodeNpz(arrays()));
    const bytes = await gemmaScopeNpz(once);
    using twice = await read(bytes);
    expect(await twice.identity()).toBe(await once.identity());
    expect(await gemmaScopeNpz(twice)).toEqual(bytes);
  });

  it("has W_enc with a column a latent and W_dec with a row a latent", async () => {
    using sae = await read(encodeNpz(arrays()));
    const weights = await sae.weights();
    expect([...weights.encoderRows]).toEqual([1, 4, 2, 5, 3, 6]);
    const back = await parseNpz(await gemmaScopeNpz(sae), "x");
    for (const [name, { shape, values }] of Object.entries(arrays()))
      expect(back.get(name), name).toEqual({ dtype: "f32", shape, values });
  });

  it("rounds to f16 where asked", async () => {
    using sae = exampleSae(device, "jumprelu");
    const bytes = await gemmaScopeNpz(sae, { dtype: "f16" });
    for (const { dtype } of (await parseNpz(bytes, "x")).values()) expect(dtype).toBe("f16");
    using back = await read(bytes);
    const [before, after] = [await sae.weights(), await back.weights()];
    // 11 bits of numbers below 0.5.
    expect(after.decoder).toBeClose(before.decoder, { rtol: 0, atol: 2 ** -13 });
    expect(after.decoder).not.toEqual(before.decoder);
  });

  it("refuses TopK, which the format has no place for", async () => {
    using sae = exampleSae(device, "topk");
    await expect(gemmaScopeNpz(sae)).rejects.toMatchObject({ code: "SAE_NOT_JUMPRELU" });
  });
});

describe("saeFromGemmaScopeNpz", () => {
  it("takes small letters, factors of one, and metadata", async () => {
    const { W_enc, W_dec, ...others } = arrays();
    const bytes = encodeNpz({
      w_enc: W_enc!,
      w_dec: W_dec!,
      ...others,
      scaling_factor: { shape: [3], values: Float32Array.of(1, 1, 1) },
    });
    using sae = await saeFromGemmaScopeNpz(bytes, {
      device,
      where: "x",
      metadata: { hookName: "blocks.3.hook_resid_post" },
    });
    expect(sae.config).toMatchObject({
      architecture: "jumprelu",
      dIn: 2,
      dSae: 3,
      applyBDecToInput: false,
      metadata: { hookName: "blocks.3.hook_resid_post" },
    });
    // x W_enc + b_enc = [1.5, 2, 2.5], above [1, 2, 3]: the first alone.
    expect([...(await features(sae, Float32Array.of(1, 0)))]).toEqual([1.5, 0, 0]);
  });

  it("has no negative thresholds, since a ReLU comes first", async () => {
    const threshold = { shape: [3], values: Float32Array.of(-1, -1, 1) };
    using sae = await read(encodeNpz(arrays({ threshold })));
    expect([...(await features(sae, Float32Array.of(-0.6, 0)))]).toEqual([0, 0, 0]);
  });

  it.each([
    [{ threshold: null }, "TENSOR_MISSING", /"threshold" among W_dec, W_enc, b_dec, b_enc/u],
    [{ W_enc: null }, "TENSOR_MISSING", /"W_enc"/u],
    [
      { W_dec: { shape: [2, 3], values: new Float32Array(6) } },
      "SAE_WEIGHTS_SHAPE",
      /W_dec has shape \[2, 3\].*\[3, 2\]/su,
    ],
    [{ W_enc: { shape: [6], values: new Float32Array(6) } }, "SAE_WEIGHTS_SHAPE", /W_enc/u],
    [{ W_enc: { shape: [0, 3], values: new Float32Array() } }, "SAE_WEIGHTS_SHAPE", /W_enc/u],
    [
      { b_enc: { shape: [3], values: Float32Array.of(0, Number.NaN, 0) } },
      "SAE_WEIGHTS_NOT_FINITE",
      /b_enc holds NaN at element 1/u,
    ],
    [
      { scaling_factor: { shape: [3], values: Float32Array.of(1, 1, 2) } },
      "SAE_UNSUPPORTED",
      /scaling_factor/u,
    ],
  ] as const)("refuses case %#", async (changes, code, says) => {
    const reading = read(encodeNpz(arrays(changes)));
    await expect(reading).rejects.toMatchObject({ code });
    await expect(reading).rejects.toThrow(says);
  });

  it("refuses what is no archive", async () => {
    await expect(read(new Uint8Array(100))).rejects.toMatchObject({ code: "NPZ_ARCHIVE" });
  });
});
