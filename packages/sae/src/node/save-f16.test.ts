import { createReferenceBackend, Device } from "@latentkit/tensor";
import { expectNoLeaks } from "@latentkit/tensor/testing";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { gemmaScopeNpz } from "../formats/gemma-scope.ts";
import { Sae } from "../sae.ts";
import { smallRun } from "../testing/small-run.ts";
import { trainSae } from "../train/train-sae.ts";
import { loadSae } from "./load-sae.ts";
import { saveSae } from "./save-sae.ts";

const folder = mkdtempSync(join(tmpdir(), "latentkit-f16-"));
const device = new Device(createReferenceBackend());
afterAll(() => {
  rmSync(folder, { recursive: true });
  expectNoLeaks(device);
  device.dispose();
});

it("names the identity of what a reader gets", async () => {
  const run = await trainSae(smallRun("jumprelu-raw", device, 6));
  using sae = run.sae;
  const { history } = run;
  await saveSae(sae, join(folder, "half"), { dtype: "f16", history });
  using back = await loadSae(join(folder, "half"), { device });
  const { identity } = JSON.parse(readFileSync(join(folder, "half/training.json"), "utf8"));
  expect(identity).toBe(await back.identity());
  expect(identity).not.toBe(await sae.identity());
  // What was rounded once stays as it is.
  await saveSae(back, join(folder, "again"), { dtype: "f16", history });
  for (const file of readdirSync(join(folder, "half")))
    expect(readFileSync(join(folder, "again", file))).toEqual(
      readFileSync(join(folder, "half", file)),
    );
});

it("refuses numbers that f16 has not, before it writes anything", async () => {
  using sae = Sae.fromWeights(
    device,
    { architecture: "jumprelu", dIn: 1, dSae: 2 },
    {
      encoderRows: Float32Array.of(1, 2),
      decoder: Float32Array.of(1, 2),
      encoderBias: Float32Array.of(0, -65520),
      decoderBias: Float32Array.of(0),
      threshold: Float32Array.of(1, 1),
    },
  );
  const out = join(folder, "too-large");
  const saving = saveSae(sae, out, { dtype: "f16" });
  await expect(saving).rejects.toThrow(/b_enc holds -65520 at element 1/u);
  await expect(saving).rejects.toMatchObject({ code: "SAE_F16_RANGE" });
  expect(() => readdirSync(out)).toThrow("ENOENT");
  await expect(gemmaScopeNpz(sae, { dtype: "f16" })).rejects.toMatchObject({
    code: "SAE_F16_RANGE",
  });
});
