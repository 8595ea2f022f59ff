import { openSafetensorsFile } from "@latentkit/loaders/node";
import { createReferenceBackend, Device, sparseToDense } from "@latentkit/tensor";
import { expectNoLeaks, registerMatchers } from "@latentkit/tensor/testing";
import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import type { Sae } from "../sae.ts";
import { formatCases as cases } from "../testing/format-cases.ts";
import { describeSae, loadSae } from "./load-sae.ts";
import { saveSae } from "./save-sae.ts";

registerMatchers(expect);

// Files as each library writes them, and features and reconstructions as SAELens computes them from those files, by oracles/sae/formats.py.
const fixtures = fileURLToPath(new URL("../__fixtures__/formats", import.meta.url));
const device = new Device(createReferenceBackend());
afterAll(() => {
  expectNoLeaks(device);
  device.dispose();
});

/** Sums of 6 and 16 terms of order 1, and one division. */
const tolerance = { rtol: 1e-5, atol: 1e-5 };

async function run(sae: Sae, x: Float32Array) {
  const [features, decoded] = device.scope(() => {
    const input = device.tensor(x, [x.length / sae.config.dIn, sae.config.dIn]);
    const rows = sae.encode(input);
    return [sparseToDense(rows), sae.decode(rows, input)] as const;
  });
  const result = { features: await features.floats(), reconstruction: await decoded.floats() };
  features.dispose();
  decoded.dispose();
  return result;
}

describe("SAEs of other libraries", () => {
  it.each(cases)("$path: encodes and decodes as it does there", async (given) => {
    const { path, golden = path, options = {}, config, format } = given;
    const place = join(fixtures, path);
    using sae = await loadSae(place, { device, ...options });
    expect(sae.config).toMatchObject({ dIn: 6, dSae: 16, ...config });
    const description = await describeSae(place, options);
    expect(description.format).toBe(format);
    expect(description.config).toEqual(sae.config);
    expect(description.tensors.length).toBeGreaterThan(1);
    const store = await openSafetensorsFile(join(fixtures, "golden.safetensors"));
    const { features, reconstruction } = await run(sae, await store.readFloats("x"));
    expect(features).toBeClose(await store.readFloats(`${golden}.features`), tolerance);
    expect(reconstruction).toBeClose(await store.readFloats(`${golden}.reconstruction`), tolerance);
    await store.close();
  });

  it("has a case for each golden", async () => {
    const store = await openSafetensorsFile(join(fixtures, "golden.safetensors"));
    const wanted = store.names().filter((name) => name.endsWith(".features"));
    await store.close();
    const tested = cases.map(({ path, golden = path }) => `${golden}.features`);
    expect(tested.toSorted()).toEqual(wanted.toSorted());
  });
});

describe("what we write of them", () => {
  const shown = z
    .record(
      z.string(),
      z.object({ class: z.string().nullable(), files: z.record(z.string(), z.string()) }),
    )
    .parse(JSON.parse(readFileSync(join(fixtures, "converted.json"), "utf8")));
  const folder = mkdtempSync(join(tmpdir(), "latentkit-converted-"));
  afterAll(() => rmSync(folder, { recursive: true }));

  it.each(cases)(
    "$path: SAELens was shown these bytes, and computes the same with them",
    async ({ path, golden = path, options = {} }) => {
      const out = join(folder, golden);
      using sae = await loadSae(join(fixtures, path), { device, ...options });
      await saveSae(sae, out);
      const files = Object.fromEntries(
        readdirSync(out)
          .sort()
          .map((name) => [
            name,
            createHash("sha256")
              .update(readFileSync(join(out, name)))
              .digest("hex"),
          ]),
      );
      expect(files).toEqual(shown[golden]?.files);
      // SAELens has no class for a transcoder with TopK latents.
      const refused = sae.config.architecture === "topk" && sae.config.dOut !== null;
      expect(shown[golden]?.class === null).toBe(refused);
      using back = await loadSae(out, { device });
      expect(await back.identity()).toBe(await sae.identity());
    },
  );
});
