import { packDocuments, type Context, defaultPacking } from "@latentkit/activations";
import { harvest, openActivations } from "@latentkit/activations/node";
import { openCpuDevice } from "@latentkit/backend-cpu";
import type { Sae } from "@latentkit/sae";
import type { Device } from "@latentkit/tensor";
import { expectNoLeaks } from "@latentkit/tensor/testing";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  mask,
  plantedModel,
  plantedSae,
  plantedTexts,
  site,
} from "../__fixtures__/planted-latents.ts";
import { gatherExamples, readExamples } from "../gather/gather-examples.ts";
import { modelTokens, storeTokens } from "../gather/token-source.ts";
import { fileCheckpoint } from "./file-checkpoint.ts";

const folder = mkdtempSync(join(tmpdir(), "latentkit-gather-"));
const options = { windowTokens: 12, top: 3, sample: 5, background: 20 };
let device: Device;
let model: ReturnType<typeof plantedModel>;
let sae: Sae;

beforeAll(async () => {
  device = await openCpuDevice();
  model = plantedModel(device);
  sae = await plantedSae(device, model);
});
afterAll(() => {
  model.dispose();
  sae.dispose();
  expectNoLeaks(device);
  device.dispose();
  rmSync(folder, { recursive: true });
});

describe("storeTokens", () => {
  it("gathers from shards what it gathers from the model", async () => {
    const documents = plantedTexts(30).map((text, index) => ({ id: String(index), text }));
    const packing = { contextSize: 24, minimumTokens: 4 };
    const out = join(folder, "shards");
    const { maskFirstPosition, maximumNormRatio } = mask;
    await harvest({
      model,
      documents,
      site,
      out,
      packing,
      mask: { maskFirstPosition, maximumNormRatio },
      split: { heldOut: 0 },
      batchSize: 6,
      shardTokens: 300,
    });
    const store = await openActivations(out);
    const contexts: Context[] = [];
    for await (const context of packDocuments(model.tokenizer, documents, {
      ...defaultPacking,
      ...packing,
    }))
      contexts.push(context);
    const shards = storeTokens(store, { split: "train" });
    expect(shards.pieces).toBeGreaterThan(2);
    const stored = await gatherExamples(sae, shards, options);
    const live = await gatherExamples(
      sae,
      modelTokens(model, contexts, { site, mask, batchSize: 6 }),
      options,
    );
    // Shards are encoded in other blocks, which may round another way, and equal strengths may change places for it.
    const comparable = ({ latents }: typeof live) =>
      [...latents.values()].map(({ latent, firedTokens, firedWindows, sample }) => ({
        latent,
        firedTokens,
        firedWindows,
        sample: sample.map(({ values, ...window }) => ({
          ...window,
          maximum: Number(window.maximum.toFixed(3)),
          values: Array.from(values, (value) => Number(value.toFixed(3))),
        })),
      }));
    expect(comparable(stored)).toEqual(comparable(live));
    expect(stored.background).toEqual(live.background);
    expect(stored.latents.get(0)?.firedTokens).toBeGreaterThan(10);
    expect(() => storeTokens(store, { split: "held-out" })).toThrow(
      expect.objectContaining({ code: "GATHER_EMPTY" }),
    );
  });
});

describe("fileCheckpoint", () => {
  it("keeps a gathering in a file, whole or as it was, and goes on from it", async () => {
    const path = join(folder, "examples.safetensors");
    const contexts = plantedTexts(12).map((text, document) => {
      const tokens = model.tokenizer.encode(text).ids;
      return { tokens, length: tokens.length, document };
    });
    const source = modelTokens(model, contexts, { site, mask, batchSize: 2 });
    const checkpoint = fileCheckpoint(path);
    expect(await checkpoint.load()).toBeNull();
    const controller = new AbortController();
    await expect(
      gatherExamples(sae, source, {
        ...options,
        checkpoint,
        checkpointEvery: 1,
        signal: controller.signal,
        onProgress: ({ done }) => {
          if (done === 3) controller.abort();
        },
      }),
    ).rejects.toMatchObject({ code: "ABORTED" });
    const reads: number[] = [];
    const counted = {
      ...source,
      read: (from: number) => {
        reads.push(from);
        return source.read(from);
      },
    };
    const result = await gatherExamples(sae, counted, { ...options, checkpoint });
    expect(reads).toEqual([3]);
    expect(result.latents).toEqual((await gatherExamples(sae, source, options)).latents);
    expect(await readExamples(Uint8Array.from(readFileSync(path)), path)).toEqual(result);
    expect(readdirSync(folder).filter((name) => name.includes("tmp"))).toEqual([]);
    await expect(fileCheckpoint(folder).load()).rejects.toMatchObject({
      code: "FILE_FAILED",
      where: folder,
    });
  });
});
