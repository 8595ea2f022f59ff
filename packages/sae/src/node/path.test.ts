import { heldOutRows, shardBatches } from "@latentkit/activations";
import { harvest, openActivations } from "@latentkit/activations/node";
import { byteTokenizer } from "@latentkit/loaders";
import { randomModel } from "@latentkit/models";
import { createReferenceBackend, Device } from "@latentkit/tensor";
import { expectNoLeaks } from "@latentkit/tensor/testing";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { z } from "zod";
import { evaluateSae } from "../evaluate/evaluate-sae.ts";
import { spliceLoss } from "../evaluate/splice-loss.ts";
import { storeContexts } from "../evaluate/store-contexts.ts";
import { identitySae } from "../testing/identity-sae.ts";
import { shortRunJumpRelu } from "../train/recipes.ts";
import { loadHistory, loadSae } from "./load-sae.ts";
import { saveSae } from "./save-sae.ts";
import { trainSae } from "./train-sae.ts";

// The whole path at the size of a toy: text, activations, training, metrics, splicing, files.
it("goes from text to a saved SAE and back, and leaves nothing on the device", async () => {
  const folder = mkdtempSync(join(tmpdir(), "latentkit-path-"));
  const device = new Device(createReferenceBackend());
  const model = randomModel({
    device,
    seed: 3,
    tokenizer: byteTokenizer(),
    config: { dModel: 16, heads: 2, kvHeads: 1, dHead: 8, dMlp: 24 },
  });
  const { liveBytes } = device.memory();
  const site = "blocks.0.hook_resid_post";
  const documents = Array.from({ length: 16 }, (_, index) => ({
    id: String(index),
    text: `Document ${index}. ${"It says this and that. ".repeat((index % 3) + 1)}`,
  }));
  await harvest({
    model,
    documents,
    site,
    out: join(folder, "activations"),
    packing: { contextSize: 16 },
    split: { heldOut: 0.4 },
    batchSize: 4,
    shardTokens: 128,
  });
  const store = await openActivations(join(folder, "activations"));

  const { sae, history } = await trainSae({
    device,
    config: shortRunJumpRelu({ dSae: 32, tokens: 2000, batchSize: 50, points: 5, sparsity: 0.01 }),
    batches: shardBatches(store, { seed: 1 }),
    heldOut: await heldOutRows(store, 64),
    metadata: { modelName: model.name, hookName: site },
    checkpointDir: join(folder, "run"),
  });
  const lines = readFileSync(join(folder, "run/metrics.jsonl"), "utf8").trim().split("\n");
  expect(lines.map((line): unknown => JSON.parse(line))).toEqual(history.points);
  const fvus = history.points.map(({ heldOutFvu }) => heldOutFvu);
  expect(fvus.at(-1)).toBeLessThan(fvus[0] ?? 0);

  const metrics = await evaluateSae(sae, store, { resamples: 50 });
  expect(metrics.tokens).toBe(store.manifest.counts.splits["held-out"].kept);
  expect(metrics.fvu).toBeGreaterThan(0);
  expect(metrics.fvuInterval?.[0]).toBeLessThanOrEqual(metrics.fvu);
  const some = await evaluateSae(sae, store, { split: "train", maximumTokens: 10, resamples: 0 });
  expect(some.tokens).toBeLessThan(store.manifest.counts.splits.train.kept);

  const { counts, mask } = store.manifest;
  const contexts = await storeContexts(store);
  expect(contexts).toHaveLength(counts.splits["held-out"].contexts);
  expect(contexts.reduce((sum, { length }) => sum + length, 0)).toBe(
    counts.splits["held-out"].tokens,
  );
  expect(await storeContexts(store, { limit: 3 })).toHaveLength(3);
  const splice = await spliceLoss(model, sae, contexts, { mask, resamples: 50 });
  expect(splice.documents).toBe(metrics.documents);
  using perfect = identitySae(device, store.dIn);
  expect((await spliceLoss(model, perfect, contexts, { site, mask, resamples: 10 })).delta).toBe(0);
  using narrow = identitySae(device, 5);
  await expect(evaluateSae(narrow, store)).rejects.toThrow(/16 wide.*width 5/su);

  await saveSae(sae, join(folder, "sae"), { history, densities: metrics.densities });
  using back = await loadSae(join(folder, "sae"), { device });
  expect(await back.identity()).toBe(await sae.identity());
  expect(await loadHistory(join(folder, "sae"))).toEqual(history);
  expect(await loadHistory(join(folder, "activations"))).toBeNull();
  const training = z
    .object({ identity: z.string() })
    .parse(JSON.parse(readFileSync(join(folder, "sae/training.json"), "utf8")));
  expect(training.identity).toBe(await sae.identity());

  for (const owned of [sae, perfect, narrow, back]) owned.dispose();
  expectNoLeaks(device, liveBytes);
  model.dispose();
  device.dispose();
  rmSync(folder, { recursive: true });
});
