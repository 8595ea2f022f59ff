import { createReferenceBackend, Device } from "@latentkit/tensor";
import { expectNoLeaks } from "@latentkit/tensor/testing";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { scaledRelu } from "../testing/scaled-relu.ts";
import { smallRun } from "../testing/small-run.ts";
import { recipeNames } from "../train/common-config.ts";
import type { TrainConfigInput } from "../train/config.ts";
import type { TrainingHistory } from "../train/history.ts";
import { recipe } from "../train/recipes.ts";
import { loadHistory } from "./load-sae.ts";
import { saveSae } from "./save-sae.ts";
import { trainSae } from "./train-sae.ts";

const folder = mkdtempSync(join(tmpdir(), "latentkit-history-"));
const device = new Device(createReferenceBackend());
afterAll(() => {
  rmSync(folder, { recursive: true });
  expectNoLeaks(device);
  device.dispose();
});

/** Trains for three steps and saves; what came of it, and what its folder gives back. */
async function throughFolder(
  name: string,
  config: TrainConfigInput,
): Promise<{ readonly history: TrainingHistory; readonly loaded: TrainingHistory | null }> {
  const { sae, history } = await trainSae({ ...smallRun("custom", device, 3), config });
  await saveSae(sae, join(folder, name), { history });
  sae.dispose();
  return { history, loaded: await loadHistory(join(folder, name)) };
}

// The recipes cover all architectures: recipes.test.ts.
it.each(recipeNames)("gives the history of a %s run back", async (name) => {
  const config = recipe(name, {
    dSae: 20,
    dIn: 6,
    k: 2,
    targetL0: 2,
    sites: [
      { name: "early", width: 4 },
      { name: "late", width: 2 },
    ],
    tokens: 96,
    batchSize: 32,
  });
  const { history, loaded } = await throughFolder(name, config);
  expect(history).toMatchObject({ recipe: name, config: { recipe: name } });
  expect(history.points.at(-1)?.step).toBe(3);
  expect(loaded).toEqual(history);
});

it.each(["custom", "scaled, from half"])(
  "gives the history of a user's architecture back, its recipe named %j",
  async (name) => {
    const { config } = smallRun("custom", device, 3);
    const { history, loaded } = await throughFolder(`own-${name.length}`, {
      ...config,
      recipe: name,
    });
    expect(history).toMatchObject({ recipe: name, config: { name: scaledRelu.name } });
    expect(loaded).toEqual(history);
  },
);

it("gives back, and resumes from, a history whose held-out rows do not vary, and so have no FVU", async () => {
  const run = { ...smallRun("standard", device, 3), heldOut: new Float32Array(12) };
  const checkpointDir = join(folder, "run");
  const { sae, history } = await trainSae({ ...run, checkpointDir });
  await saveSae(sae, join(folder, "constant"), { history });
  sae.dispose();
  expect(history.points.map(({ heldOutFvu }) => heldOutFvu)).toEqual([Number.NaN]);
  expect(await loadHistory(join(folder, "constant"))).toEqual(history);
  const again = await trainSae({ ...run, checkpointDir });
  again.sae.dispose();
  expect(again.history).toEqual(history);
});
