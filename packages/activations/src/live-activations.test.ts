import { DeviceError } from "@latentkit/core";
import { randomModel } from "@latentkit/models";
import { byteTokenizer } from "@latentkit/loaders";
import { createReferenceBackend, Device } from "@latentkit/tensor";
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { randomDocuments } from "./__fixtures__/documents.ts";
import { fakeModel } from "./__fixtures__/fake-model.ts";
import type { ActivationBatches } from "./batches.ts";
import { chatDocument, type TextDocument } from "./document.ts";
import { openLiveActivations, type LiveActivationsOptions } from "./live-activations.ts";
import { testFolders } from "./node/__fixtures__/folders.ts";
import { harvest } from "./node/harvest.ts";
import { openActivations } from "./node/open-activations.ts";
import { keptRows } from "./store.ts";

const folders = testFolders();
afterAll(() => folders.remove());

const site = "blocks.0.hook_resid_post";
const settings = {
  packing: { contextSize: 16, minimumTokens: 4 },
  mask: { calibrationContexts: 10 },
  split: { heldOut: 0.25 },
  batchSize: 4,
};

function options(changes: Partial<LiveActivationsOptions> = {}) {
  const model = fakeModel();
  const documents = randomDocuments(40);
  const all = { model, documents: () => documents, sites: [site], bufferTokens: 128, ...settings };
  return { ...all, ...changes };
}

async function stream(changes: Partial<LiveActivationsOptions> = {}, seed = 0) {
  const live = await openLiveActivations(options(changes));
  const found = live.sites.get(site);
  if (found === undefined) throw new RangeError("no such site");
  return { ...found, batches: found.batches(seed) };
}

/** Rows as strings, so that sets of them compare. */
function rowsOf(data: Float32Array, dIn: number): string[] {
  return Array.from({ length: data.length / dIn }, (_, row) =>
    data.subarray(row * dIn, (row + 1) * dIn).join(),
  );
}

/** The rest of the epoch, one row at a time. */
async function epochOf(batches: ActivationBatches): Promise<string[]> {
  const rows: string[] = [];
  const { epoch } = batches.state() as { epoch: number };
  while ((batches.state() as { epoch: number }).epoch === epoch)
    rows.push(...rowsOf(await batches.next(1), batches.dIn));
  return rows;
}

/** What a harvest of the same text keeps. */
async function harvested(documents: readonly TextDocument[]) {
  const out = await folders.make();
  const manifest = await harvest({ model: fakeModel(), documents, site, out, ...settings });
  const store = await openActivations(out);
  const of = async (split: "held-out" | "train"): Promise<string[]> => {
    const rows: string[] = [];
    for (const index of store.shards(split)) {
      const { activations, masks } = await store.readShard(index);
      rows.push(...rowsOf(keptRows(activations, masks, store.dIn), store.dIn));
    }
    return rows;
  };
  return { manifest, train: await of("train"), heldOut: await of("held-out") };
}

describe("live activations", () => {
  it("are, once an epoch, the rows that a harvest keeps, chats and sinks included", async () => {
    const chats = Array.from({ length: 12 }, (_, index) =>
      chatDocument(`chat-${index}`, [
        { role: "user", content: `w${index} w2 SINK w3 w4 w5` },
        {
          role: "assistant",
          content: `w6 w${index} w8 w9 w1${index} w11 w12 w13 w14 SINK w15 w16`,
        },
      ]),
    );
    const documents = [...chats, ...randomDocuments(30)];
    const stored = await harvested(documents);
    const live = await stream({ documents: () => documents });
    expect(live.mask.medianNorm).toBe(stored.manifest.mask.medianNorm);
    expect(stored.manifest.counts.masked.normOutlier).toBeGreaterThan(3);
    expect(live.batches.uniqueTokens).toBe(Number.POSITIVE_INFINITY);
    const first = await epochOf(live.batches);
    expect(first.toSorted()).toEqual(stored.train.toSorted());
    expect(live.batches.uniqueTokens).toBe(stored.train.length);
    const second = await epochOf(live.batches);
    expect(second.toSorted()).toEqual(stored.train.toSorted());
    expect(second).not.toEqual(first);
    expect(rowsOf(live.heldOut, live.dIn)).toEqual(stored.heldOut);
  });

  it("take no more held-out rows than asked for, the first ones", async () => {
    const all = await stream();
    const few = await stream({ heldOutRows: 30 });
    expect(few.heldOut).toEqual(all.heldOut.slice(0, 30 * all.dIn));
  });

  it("mix texts that are read one after another", async () => {
    const documents = randomDocuments(40);
    const { batches } = await stream({ documents: () => documents });
    const { train } = await harvested(documents);
    const place = new Map(train.map((row, index) => [row, index]));
    const order = (await epochOf(batches)).map((row) => place.get(row) ?? 0);
    // Rows of the first pool, of about 120, that come after rows of the second one, and the other way round.
    const early = order.slice(0, 50);
    expect(Math.max(...early) - Math.min(...early)).toBeGreaterThan(60);
    const late = order.findLastIndex((index) => index < 60);
    expect(order.slice(0, late).some((index) => index > 130)).toBe(true);
    const other = await stream({ documents: () => documents }, 1);
    expect(await epochOf(other.batches)).not.toEqual(order);
  });

  it("go on bit for bit from any state, wherever the stream stands", async () => {
    const { batches } = await stream();
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 400 }),
        fc.integer({ min: 1, max: 300 }),
        fc.boolean(),
        async (before, after, fresh) => {
          batches.restore((await stream()).batches.state());
          await batches.next(before);
          const state: unknown = JSON.parse(JSON.stringify(batches.state()));
          const expected = await batches.next(after);
          const end = batches.state();
          await batches.next(77);
          const resumed = fresh ? (await stream()).batches : batches;
          resumed.restore(state);
          expect(await resumed.next(after)).toEqual(expected);
          expect(resumed.state()).toEqual(end);
        },
      ),
      { numRuns: 12, seed: 4 },
    );
  });

  it("of several sites are run once, and are those of each alone", async () => {
    const both = fakeModel();
    const sites = [site, "blocks.1.hook_resid_post"];
    const live = await openLiveActivations(options({ model: both, sites }));
    const streams = [...live.sites.values()].map((one) => one.batches(0));
    both.runs = 0;
    const rows: Float32Array[] = [];
    for (let step = 0; step < 40; step++)
      for (const batches of streams) rows.push(await batches.next(10));
    const one = fakeModel();
    const alone = (await openLiveActivations(options({ model: one }))).sites.get(site)?.batches(0);
    one.runs = 0;
    for (let step = 0; step < 40; step++) expect(await alone?.next(10)).toEqual(rows[2 * step]);
    expect(both.runs).toBe(one.runs);
  });

  it("of a real model, whatever ran before", async () => {
    const model = randomModel({
      device: new Device(createReferenceBackend()),
      seed: 1,
      tokenizer: byteTokenizer(),
      config: { dModel: 12, heads: 2, kvHeads: 1, dHead: 4, dMlp: 16, contextSize: 16 },
    });
    const sites = ["blocks.0.hook_mlp_out", "blocks.1.attn.hook_z"];
    const documents = randomDocuments(10).map(({ id, text }) => ({ id, text: text.slice(0, 50) }));
    await using live = await openLiveActivations({
      model,
      documents: () => documents,
      sites,
      ...settings,
    });
    expect([...live.sites.values()].map(({ dIn }) => dIn)).toEqual([12, 8]);
    const batches = live.sites.get(sites[1] ?? "")?.batches(2);
    expect((await batches?.next(5))?.length).toBe(40);
  });

  it("read an endless text only as far as it is used", async () => {
    let read = 0;
    function* documents() {
      for (let index = 0; ; index++) {
        read = Math.max(read, index);
        yield* randomDocuments(1, index).map((one) => ({ ...one, id: String(index) }));
      }
    }
    const { batches } = await stream({ documents, heldOutRows: 40 });
    await batches.next(300);
    expect(read).toBeLessThan(60);
  });
});

describe("live activations that cannot go on", () => {
  it("stand where they stood before a run that failed", async () => {
    const model = fakeModel();
    const { batches } = await stream({ model });
    const twin = await stream();
    await batches.next(20);
    await twin.batches.next(20);
    const run = model.run.bind(model);
    model.run = () => {
      throw new DeviceError({ code: "LOST", message: "the device is lost", fix: "run again" });
    };
    const state = batches.state();
    await expect(batches.next(500)).rejects.toMatchObject({ code: "LOST" });
    expect(batches.state()).toEqual(state);
    model.run = run;
    expect(await batches.next(500)).toEqual(await twin.batches.next(500));
    await expect(batches.next(900, { signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: "ABORTED",
    });
  });

  it("say what is missing or wrong", async () => {
    await expect(stream({ split: { heldOut: 0 } })).rejects.toMatchObject({
      code: "HELD_OUT_EMPTY",
    });
    const all = await stream({ split: { heldOut: 0.999 } });
    await expect(all.batches.next(1)).rejects.toMatchObject({ code: "BATCHES_EMPTY" });
    await expect(stream({ sites: [] })).rejects.toMatchObject({ code: "LIVE_SITES" });
    await expect(stream({ sites: [site, site] })).rejects.toMatchObject({ code: "LIVE_SITES" });
    await expect(stream({ bufferTokens: 0 })).rejects.toMatchObject({ code: "HARVEST_OPTION" });
    const { batches } = await stream();
    await expect(batches.next(0)).rejects.toMatchObject({ code: "SHAPE_BATCH" });
    const other = (await stream({}, 5)).batches.state();
    expect(() => batches.restore(other)).toThrow(/with seed 0 and 8 contexts at a time/u);
    expect(() => batches.restore(null)).toThrow(/is not one of live batches/u);
  });
});
