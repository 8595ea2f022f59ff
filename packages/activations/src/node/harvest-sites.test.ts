import { byteTokenizer } from "@latentkit/loaders";
import { randomModel } from "@latentkit/models";
import { createReferenceBackend, Device } from "@latentkit/tensor";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { randomDocuments } from "../__fixtures__/documents.ts";
import type { ActivationModel } from "../activation-model.ts";
import { fakeHarvest } from "./__fixtures__/fake-harvest.ts";
import { contents, testFolders } from "./__fixtures__/folders.ts";
import { harvest, harvestSites } from "./harvest.ts";

const folders = testFolders();
afterAll(() => folders.remove());

const names = ["blocks.0.hook_resid_post", "blocks.1.attn.hook_z", "blocks.1.hook_mlp_out"];

/** A harvest of a small real model, whose site `hook_z` is 8 wide, the others 12. */
function settings() {
  const model = randomModel({
    device: new Device(createReferenceBackend()),
    seed: 3,
    tokenizer: byteTokenizer(),
    config: { dModel: 12, heads: 2, kvHeads: 1, dHead: 4, dMlp: 16, contextSize: 16 },
  });
  const documents = randomDocuments(12).map(({ id, text }) => ({ id, text: text.slice(0, 60) }));
  const shape = {
    packing: { contextSize: 16 },
    mask: { calibrationContexts: 5 },
    shardTokens: 128,
  };
  return { model, documents, split: { heldOut: 0.3 }, batchSize: 4, ...shape };
}

/** Folders of a harvest of `sites` together. */
async function together(sites: readonly string[] = names) {
  const root = await folders.make();
  return sites.map((site) => ({ site, out: join(root, site) }));
}

/** Counts the runs of a model from now on. */
function counted(model: ActivationModel): { runs: number } {
  const run = model.run.bind(model);
  const seen = { runs: 0 };
  model.run = (tokens, options) => {
    seen.runs += 1;
    return run(tokens, options);
  };
  return seen;
}

describe("harvestSites", () => {
  it("fills each folder with the bytes of a harvest of that site alone, from one run a batch", async () => {
    const sites = await together();
    const all = settings();
    const seen = counted(all.model);
    const manifests = await harvestSites({ ...all, sites });
    const runs = seen.runs;
    expect(manifests.map(({ site, dIn }) => [site, dIn])).toEqual([
      [names[0], 12],
      [names[1], 8],
      [names[2], 12],
    ]);
    for (const { site, out } of sites) {
      const alone = await folders.make();
      const one = settings();
      const single = counted(one.model);
      await harvest({ ...one, site, out: alone });
      expect(await contents(out)).toEqual(await contents(alone));
      expect(runs).toBe(single.runs);
    }
    // On complete folders it only checks.
    seen.runs = 0;
    expect(await harvestSites({ ...all, sites })).toEqual(manifests);
    expect(seen.runs).toBe(0);
  });

  it("goes on after a stop, and adds a site to folders that are complete", async () => {
    const whole = await together();
    await harvestSites({ ...settings(), sites: whole });
    const sites = await together();
    const controller = new AbortController();
    const stopped = harvestSites({
      ...settings(),
      sites: sites.slice(0, 2),
      signal: controller.signal,
      onProgress: ({ stage, done }) =>
        stage === "harvest" && done > 200 ? controller.abort() : undefined,
    });
    await expect(stopped).rejects.toMatchObject({ code: "ABORTED" });
    // The first site is finished alone; the others are behind it then.
    await harvest({ ...settings(), site: names[0] ?? "", out: sites[0]?.out ?? "" });
    await harvestSites({ ...settings(), sites });
    for (const [index, { out }] of sites.entries())
      expect(await contents(out)).toEqual(await contents(whole[index]?.out ?? ""));
  });

  it("makes a damaged shard anew, and no other site's", async () => {
    const sites = await together();
    const manifests = await harvestSites({ ...settings(), sites });
    const before = await Promise.all(sites.map(({ out }) => contents(out)));
    const file = join(sites[1]?.out ?? "", manifests[1]?.shards[0]?.file ?? "");
    const bytes = await readFile(file);
    bytes[bytes.length - 3] = (bytes.at(-3) ?? 0) ^ 4;
    await writeFile(file, bytes);
    const again = settings();
    const seen = counted(again.model);
    await harvestSites({ ...again, sites });
    expect(await Promise.all(sites.map(({ out }) => contents(out)))).toEqual(before);
    expect(seen.runs).toBeLessThanOrEqual(2);
  });

  it("refuses other text, whichever folder it is in", async () => {
    const sites = await together(names.slice(0, 2));
    const { documents } = settings();
    await harvestSites({ ...settings(), sites: sites.slice(0, 1) });
    const other = documents.with(3, { id: "x", text: "another text" });
    await expect(harvestSites({ ...settings(), documents: other, sites })).rejects.toMatchObject({
      code: "HARVEST_TEXT_CHANGED",
    });
    const more = [...documents, { id: "y", text: "one more text than before" }];
    const [first] = sites;
    await expect(
      harvestSites({ ...settings(), documents: more, sites: first === undefined ? [] : [first] }),
    ).rejects.toMatchObject({ code: "HARVEST_TEXT_CHANGED" });
  });

  it("refuses one folder for two sites, and no site at all", async () => {
    const { site, out, ...rest } = fakeHarvest(await folders.make());
    const twice = [
      { site, out },
      { site: "blocks.1.hook_resid_post", out: join(out, ".") },
    ];
    await expect(harvestSites({ ...rest, sites: twice })).rejects.toMatchObject({
      code: "HARVEST_FOLDERS",
    });
    await expect(harvestSites({ ...rest, sites: [] })).rejects.toMatchObject({
      code: "HARVEST_FOLDERS",
    });
  });
});
