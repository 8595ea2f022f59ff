import { createReferenceBackend, Device } from "@latentkit/tensor";
import { expectNoLeaks } from "@latentkit/tensor/testing";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { Crosscoder } from "../crosscoder.ts";
import { smallRun } from "../testing/small-run.ts";
import { trainSae } from "../train/train-sae.ts";
import { loadSae } from "./load-sae.ts";
import { saveSae } from "./save-sae.ts";

const folder = mkdtempSync(join(tmpdir(), "latentkit-crosscoder-"));
const device = new Device(createReferenceBackend());
afterAll(() => {
  rmSync(folder, { recursive: true });
  expectNoLeaks(device);
  device.dispose();
});

it.each(["crosscoder", "batchtopk_crosscoder"] as const)(
  "a %s is kept in an SAE's files, and is taken apart again",
  async (kind) => {
    const { sae, history } = await trainSae(smallRun(kind, device, 6));
    await saveSae(sae, join(folder, kind), { history });
    const loaded = await loadSae(join(folder, kind), { device });
    expect(await loaded.identity()).toBe(await sae.identity());
    expect(loaded.config.metadata).toMatchObject({ convertedFrom: kind });
    const [before, after] = [new Crosscoder(sae), new Crosscoder(loaded)];
    expect(after.sites).toEqual(before.sites);
    expect(await after.decoderNorms()).toEqual(await before.decoderNorms());
    sae.dispose();
    loaded.dispose();
  },
);
