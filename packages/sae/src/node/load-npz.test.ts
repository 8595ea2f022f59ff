import { writeFileAtomic } from "@latentkit/loaders/node";
import { createReferenceBackend, Device, sparseToDense } from "@latentkit/tensor";
import { expectNoLeaks, registerMatchers } from "@latentkit/tensor/testing";
import { Random } from "@latentkit/core";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { gemmaScopePath } from "../formats/gemma-scope-path.ts";
import { gemmaScopeNpz } from "../formats/gemma-scope.ts";
import type { Sae } from "../sae.ts";
import { exampleSae } from "../testing/example-sae.ts";
import { loadSae } from "./load-sae.ts";
import { saveSae } from "./save-sae.ts";

registerMatchers(expect);

const root = mkdtempSync(join(tmpdir(), "latentkit-npz-"));
const device = new Device(createReferenceBackend());
const file = join(
  root,
  gemmaScopePath({ release: "example", site: "res", layer: 1, width: 24, l0: 9 }),
);

beforeAll(async () => {
  using sae = exampleSae(device, "jumprelu");
  mkdirSync(dirname(file), { recursive: true });
  await writeFileAtomic(file, await gemmaScopeNpz(sae));
});
afterAll(() => {
  rmSync(root, { recursive: true });
  expectNoLeaks(device);
  device.dispose();
});

const x = new Random(5).fillNormal(new Float32Array(50 * 8));

async function features(sae: Sae): Promise<Float32Array> {
  using dense = device.scope(() => sparseToDense(sae.encode(device.tensor(x, [50, 8]))));
  return dense.floats();
}

describe("loadSae", () => {
  it("reads params.npz, by its own path and by its folder's", async () => {
    using original = exampleSae(device, "jumprelu");
    const wanted = await features(original);
    expect(wanted.some((value) => value > 0)).toBe(true);
    for (const path of [file, dirname(file)]) {
      using sae = await loadSae(path, { device });
      // b_dec was folded: other sums of f32, of 8 and 24 terms of order 1.
      expect(await features(sae)).toBeClose(wanted, { rtol: 1e-5, atol: 2e-6 });
      expect(sae.config.metadata).toEqual({});
    }
  });

  it("takes metadata for a file that has none", async () => {
    const metadata = { modelName: "example/model", hookName: "blocks.1.hook_resid_post" };
    using sae = await loadSae(file, { device, metadata });
    expect(sae.config.metadata).toEqual(metadata);
  });

  it("prefers cfg.json, which knows the model", async () => {
    const both = join(root, "both");
    using original = exampleSae(device, "topk");
    await saveSae(original, both);
    using jumprelu = exampleSae(device, "jumprelu");
    await writeFileAtomic(join(both, "params.npz"), await gemmaScopeNpz(jumprelu));
    using sae = await loadSae(both, { device });
    expect(sae.config.architecture).toBe("topk");
    expect(sae.config.metadata.modelName).toBe("example/model");
  });

  it("names the file at fault", async () => {
    const damaged = join(root, "damaged.npz");
    await writeFileAtomic(damaged, new Uint8Array(100));
    await expect(loadSae(damaged, { device })).rejects.toMatchObject({
      code: "NPZ_ARCHIVE",
      where: damaged,
    });
    const missing = join(root, "missing.npz");
    await expect(loadSae(missing, { device })).rejects.toMatchObject({
      code: "FILE_MISSING",
      where: missing,
    });
    await expect(loadSae(join(root, "nothing"), { device })).rejects.toMatchObject({
      code: "FILE_MISSING",
      where: join(root, "nothing"),
    });
  });

  it("stops when told to", async () => {
    const signal = AbortSignal.abort();
    await expect(loadSae(file, { device, signal })).rejects.toMatchObject({ code: "ABORTED" });
  });
});

it("f16 moves features by no more than its 11 bits do", async () => {
  using original = exampleSae(device, "jumprelu");
  const wanted = await features(original);
  await saveSae(original, join(root, "half"), { dtype: "f16" });
  await writeFileAtomic(join(root, "half.npz"), await gemmaScopeNpz(original, { dtype: "f16" }));
  const threshold = (await original.weights()).threshold!;
  for (const path of ["half", "half.npz"]) {
    using sae = await loadSae(join(root, path), { device });
    const found = await features(sae);
    // Weights below 0.5 are off by at most 2^-13; inputs have an L1 norm of at most 8 * 4, and b_dec adds 8 * 0.2.
    const bound = (8 * 4 + 8 * 0.2 + 1) * 2 ** -12;
    expect(found).not.toEqual(wanted);
    found.forEach((value, index) => {
      // One that rounding moved over the threshold is near it on the side where it is on.
      const limit = threshold[index % 24]!;
      const [low, high] = [Math.min(value, wanted[index]!), Math.max(value, wanted[index]!)];
      if (low === 0 && high > 0) expect(high - limit, `feature ${index}`).toBeLessThan(bound);
      else expect(high - low, `feature ${index}`).toBeLessThan(bound);
    });
  }
});

it("a cfg.json that says float16, as SAELens writes it, is read into f32 all the same", async () => {
  using original = exampleSae(device, "jumprelu");
  const folder = join(root, "float16");
  await saveSae(original, folder, { dtype: "f16" });
  using before = await loadSae(folder, { device });
  const path = join(folder, "cfg.json");
  await writeFileAtomic(path, readFileSync(path, "utf8").replace('"float32"', '"float16"'));
  expect(readFileSync(path, "utf8")).toContain('"dtype": "float16"');
  using after = await loadSae(folder, { device });
  expect(await after.identity()).toBe(await before.identity());
});
