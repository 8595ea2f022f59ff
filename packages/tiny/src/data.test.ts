// The packaged data itself: fails, and says so, where it is not there.
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { readJson } from "@latentkit/loaders/node";
import { openCpuDevice } from "@latentkit/backend-cpu";
import { expect, it } from "vitest";
import { z } from "zod";
import { tinyFiles, tinyLayers, tinyVersions } from "./index.ts";
import { loadTiny, loadTinySae, tinyFolder } from "./node/index.ts";

const mebibytes = 2 ** 20;

async function packaged(): Promise<readonly { readonly name: string; readonly size: number }[]> {
  const folder = tinyFolder();
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  return Promise.all(
    entries
      .filter((entry) => entry.isFile())
      .map(async (entry) => {
        const path = join(entry.parentPath, entry.name);
        return {
          name: path.slice(folder.length).replaceAll("\\", "/"),
          size: (await stat(path)).size,
        };
      }),
  );
}

it("is complete", async () => {
  const names = new Set((await packaged()).map(({ name }) => name));
  const missing = tinyFiles.filter((name) => !names.has(name));
  expect(missing, `packages/tiny/data lacks ${missing.join(", ")}`).toEqual([]);
});

it("takes at most 30 MB", async () => {
  const files = await packaged();
  expect(files.length, "packages/tiny/data holds nothing").toBeGreaterThan(0);
  const total = files.reduce((sum, { size }) => sum + size, 0);
  const largest = files
    .toSorted((a, b) => b.size - a.size)
    .slice(0, 3)
    .map(({ name, size }) => `${name} ${(size / mebibytes).toFixed(1)} MiB`);
  expect(total, `the largest files: ${largest.join(", ")}`).toBeLessThanOrEqual(30_000_000);
});

it("says what it was made from", async () => {
  const record = z.looseObject({
    schemaVersion: z.literal(1),
    worldSeed: z.number().int(),
    mixtureSeed: z.number().int(),
    trainedTokens: z.number().int().positive(),
  });
  await expect(readJson(join(tinyFolder(), "world.json"), record)).resolves.toBeDefined();
});

it("holds the model that the README describes, and SAEs of that very model", async () => {
  using device = await openCpuDevice();
  using model = await loadTiny({ device });
  expect(model.config).toMatchObject({
    architecture: "llama",
    layers: tinyLayers,
    dModel: 256,
    heads: 8,
    kvHeads: 4,
    dHead: 32,
    dMlp: 704,
    vocabulary: 4096,
    contextSize: 512,
    tiedEmbeddings: true,
  });
  const { weightsHash } = model.identity();
  for (let layer = 0; layer < tinyLayers; layer++) {
    using sae = await loadTinySae({ device, layer });
    expect(sae.config).toMatchObject({
      architecture: "jumprelu",
      dIn: 256,
      metadata: { hookName: `blocks.${layer}.hook_resid_post`, weightsHash },
    });
    expect(sae.config.dSae).toBeGreaterThanOrEqual(6 * 256);
  }
});

it.each(tinyVersions)("continues a text with %s", async (version) => {
  using device = await openCpuDevice();
  using model = await loadTiny({ device, version });
  const tokens: number[] = [];
  for await (const { token } of model.generate({
    prompt: "Once",
    maxTokens: 8,
    temperature: 0,
    ignoreEos: true,
  }))
    tokens.push(token);
  expect(tokens).toHaveLength(8);
  // Random weights repeat or wander; a trained model has learned that words differ.
  expect(new Set(tokens).size).toBeGreaterThan(2);
});
