import { randomModel } from "@latentkit/models";
import { createReferenceBackend, Device } from "@latentkit/tensor";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type AdapterHistory, createAdapter, type LoraAdapter, trainAdapter } from "../index.ts";
import { adapterCheckpointFile } from "./index.ts";

const device = new Device(createReferenceBackend());
const config = {
  layers: 1,
  dModel: 16,
  heads: 2,
  kvHeads: 1,
  dHead: 8,
  dMlp: 24,
  vocabulary: 20,
  contextSize: 16,
};
const model = randomModel({ device, seed: 1, config });
const batches = (index: number) => ({
  tokens: [[index % 7, 2, 3]],
  targets: [[-100, 5 + (index % 3), 6]],
});
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "latentkit-lora-"));
});
afterAll(async () => {
  model.dispose();
  await rm(folder, { recursive: true, force: true });
});

const fresh = (): LoraAdapter => createAdapter({ model, rank: 2, alpha: 4, seed: 3 });
const training = { steps: 9, learningRate: 0.01, weightDecay: 0.1, microBatches: 2 };

async function train(
  adapter: LoraAdapter,
  path: string | null,
  stopAfter = 99,
): Promise<AdapterHistory> {
  const controller = new AbortController();
  return trainAdapter({
    model,
    adapter,
    batches,
    config: training,
    ...(path === null ? {} : { checkpoints: adapterCheckpointFile(path) }),
    checkpointSteps: 4,
    signal: controller.signal,
    onProgress: ({ done }) => {
      if (done === stopAfter) controller.abort();
    },
  });
}

it("goes on from where it was stopped, with the same bits", async () => {
  using whole = fresh();
  const history = await train(whole, null);
  const path = join(folder, "run/checkpoint.safetensors");
  for (const stop of [2, 5]) {
    using part = fresh();
    await expect(train(part, path, stop)).rejects.toMatchObject({ code: "ABORTED" });
  }
  using last = fresh();
  expect(await train(last, path)).toEqual(history);
  expect(await last.values()).toEqual(await whole.values());
  // A finished run is not begun again.
  const bytes = await readFile(path);
  using again = fresh();
  expect(await train(again, path)).toEqual(history);
  expect(await again.values()).toEqual(await whole.values());
  expect(await readFile(path)).toEqual(bytes);
});

it("goes on from the last checkpoint where nobody could say that it was stopped", async () => {
  const path = join(folder, "killed.safetensors");
  using whole = fresh();
  const history = await train(whole, null);
  const kept = adapterCheckpointFile(path);
  using part = fresh();
  const killed = trainAdapter({
    model,
    adapter: part,
    batches,
    config: training,
    checkpoints: kept,
    checkpointSteps: 4,
    onProgress: ({ done }) => {
      if (done === 7) throw new TypeError("as a kill would");
    },
  });
  await expect(killed).rejects.toThrow("as a kill would");
  expect((await kept.load())?.state.steps).toHaveLength(4);
  using last = fresh();
  expect(await train(last, path)).toEqual(history);
  expect(await last.values()).toEqual(await whole.values());
});

it("refuses checkpoints of other runs, and files that are none", async () => {
  const path = join(folder, "other.safetensors");
  using first = fresh();
  await expect(train(first, path, 2)).rejects.toMatchObject({ code: "ABORTED" });
  using wider = createAdapter({ model, rank: 3, alpha: 4, seed: 3 });
  const before = await wider.values();
  await expect(train(wider, path)).rejects.toMatchObject({ code: "ADAPTER_CHECKPOINT" });
  expect(await wider.values()).toEqual(before);
  await writeFile(path, await readFile(path).then((bytes) => bytes.subarray(0, 20)));
  await expect(train(first, path)).rejects.toMatchObject({ name: "FormatError" });
});
