import {
  type ActivationStore,
  arrayBatches,
  heldOutRows,
  type Manifest,
  type Shard,
  shardBatches,
} from "@latentkit/activations";
import { createReferenceBackend, Device } from "@latentkit/tensor";
import { expectNoLeaks, registerMatchers } from "@latentkit/tensor/testing";
import { afterAll, describe, expect, it } from "vitest";
import { Crosscoder } from "../crosscoder.ts";
import { compareDirections } from "../evaluate/compare-directions.ts";
import { evaluateSae } from "../evaluate/evaluate-sae.ts";
import type { Sae } from "../sae.ts";
import type { ReferenceValues } from "../testing/reference-kinds.ts";
import { referenceMore } from "../testing/reference-more.ts";
import { smallRun, type SmallRunKind } from "../testing/small-run.ts";
import { SyntheticWorld } from "../synthetic/world.ts";
import { memoryCheckpoints, type TrainingState } from "./checkpoint.ts";
import { parseTrainConfig } from "./config.ts";
import { joinStores } from "./joined-store.ts";
import { layoutOf, splitColumns } from "./layout.ts";
import { scalesOf } from "./normalise.ts";
import { recipe } from "./recipes.ts";
import { trainSae } from "./train-sae.ts";

registerMatchers(expect);

const device = new Device(createReferenceBackend());
afterAll(() => {
  expectNoLeaks(device);
  device.dispose();
});

/** A trained SAE, what it makes of its held-out rows, and what the reference makes of them by the parameters of training. */
async function trained(kind: SmallRunKind) {
  const checkpoints = memoryCheckpoints();
  const options = smallRun(kind, device, 40);
  const { sae } = await trainSae({ ...options, checkpoints });
  const saved = await checkpoints.load();
  const names = {
    encoder_rows: "encoderRows",
    decoder: "decoder",
    encoder_bias: "encoderBias",
    decoder_bias: "decoderBias",
    threshold: "threshold",
    skip: "skip",
  };
  const values: ReferenceValues = Object.fromEntries(
    Object.entries(names).flatMap(([name, ours]) => {
      const data = saved?.tensors.find((tensor) => tensor.name === name)?.data;
      return data === undefined ? [] : [[ours, Float64Array.from(data)]];
    }),
  );
  const config = parseTrainConfig(options.config);
  const layout = layoutOf(config, 6);
  // The store keeps what the run gave it.
  const state = saved?.state as TrainingState | undefined;
  if (state === undefined) throw new TypeError("there is no checkpoint");
  const { statistics, memory } = state;
  const scales = scalesOf(statistics);
  const columns = layout.groups.flatMap((width, group) =>
    new Array<number>(width).fill(scales[group] ?? 1),
  );
  const { input, target } = splitColumns(options.heldOut, layout);
  const { input: scaled, target: scaledTarget } = splitColumns(
    options.heldOut.map((value, at) => value / (columns[at % 6] ?? 1)),
    layout,
  );
  const targetColumns = columns.slice(layout.transcoder ? layout.dIn : 0);
  const { residual } = referenceMore(values, {
    config,
    x: Float64Array.from(scaled),
    target: Float64Array.from(scaledTarget),
    dIn: layout.dIn,
    variance: 1,
    sparsity: 0,
  });
  const { dOut } = layout;
  const expected = Float64Array.from(
    residual,
    (value, at) => (target[at] ?? 0) - (targetColumns[at % dOut] ?? 1) * value,
  );
  return { sae, input, target, expected, layout, memory, scales, config };
}

async function output(sae: Sae, input: Float32Array): Promise<Float32Array> {
  using x = device.tensor(input, [input.length / sae.config.dIn, sae.config.dIn]);
  using made = sae.reconstruct(x);
  return await made.floats();
}

describe("what is exported computes what was trained", () => {
  it.each(["transcoder", "crosscoder", "abstopk", "matching_pursuit", "jumprelu-target"] as const)(
    "%s",
    async (kind) => {
      const { sae, input, expected, layout, scales } = await trained(kind);
      expect(scales.every((scale) => Math.abs(scale - 1) > 0.01)).toBe(true);
      expect(sae.config.dIn).toBe(layout.dIn);
      expect(sae.config.dOut).toBe(layout.transcoder ? layout.dOut : null);
      expect(await output(sae, input)).toBeClose(expected, { rtol: 2e-5, atol: 2e-5 });
      sae.dispose();
    },
  );

  it("a BatchTopK crosscoder has the running threshold over each latent's summed norms", async () => {
    const { sae, memory, config, scales } = await trained("batchtopk_crosscoder");
    const { threshold, decoder } = await sae.weights();
    const running = memory?.["threshold"]?.[0] ?? 0;
    expect(running).toBeGreaterThan(0);
    const sites = "sites" in config ? config.sites : [];
    const expected = Array.from({ length: 20 }, (_, latent) => {
      let [start, sum] = [latent * 6, 0];
      for (const [site, { width }] of sites.entries()) {
        sum += Math.hypot(...decoder.subarray(start, start + width)) / (scales[site] ?? 1);
        start += width;
      }
      return running / sum;
    });
    expect(threshold).toBeClose(expected, { rtol: 1e-5, atol: 0 });
    sae.dispose();
  });

  it("matching pursuit stops at its threshold in raw units, and reads by its decoder", async () => {
    const { sae, scales } = await trained("matching_pursuit");
    expect(sae.config).toMatchObject({ architecture: "matching_pursuit", maxIterations: 3 });
    const { residualThreshold } = sae.config as { residualThreshold: number };
    expect(residualThreshold).toBeCloseTo(0.3 * (scales[0] ?? 1), 6);
    const { encoderRows, decoder } = await sae.weights();
    expect(encoderRows).toEqual(decoder);
    sae.dispose();
  });

  it("records a crosscoder's sites, and divides each by its own scale", async () => {
    const { sae, input, scales } = await trained("crosscoder");
    expect(scales).toHaveLength(2);
    const crosscoder = new Crosscoder(sae);
    expect(crosscoder.sites).toEqual([
      { name: "early", width: 4 },
      { name: "late", width: 2 },
    ]);
    const rows = input.length / 6;
    const part = (from: number, to: number): Float32Array =>
      Float32Array.from({ length: rows * (to - from) }, (_, at) => {
        const width = to - from;
        return input[Math.floor(at / width) * 6 + from + (at % width)] ?? 0;
      });
    using early = device.tensor(part(0, 4), [rows, 4]);
    using late = device.tensor(part(4, 6), [rows, 2]);
    const made = crosscoder.reconstruct([early, late]);
    const decoded = device.scope(() => crosscoder.decode(crosscoder.encode([early, late])));
    const whole = await output(sae, input);
    for (const [site, [from, to]] of [
      [0, [0, 4]],
      [1, [4, 6]],
    ] as const) {
      const expected = Array.from({ length: rows }, (_, row) =>
        Array.from(whole.subarray(row * 6 + from, row * 6 + to)),
      ).flat();
      for (const parts of [made, decoded])
        expect(await parts[site]?.floats()).toBeClose(expected, { rtol: 1e-6, atol: 1e-6 });
    }
    const { decoder } = await sae.weights();
    const norms = await crosscoder.decoderNorms();
    expect(norms.map(({ length }) => length)).toEqual([20, 20]);
    expect(norms[1]?.[3]).toBeCloseTo(Math.hypot(decoder[22] ?? 0, decoder[23] ?? 0), 6);
    expect(() => crosscoder.encode([late, early])).toThrow(
      expect.objectContaining({ code: "SHAPE_SITES" }),
    );
    expect(() => crosscoder.encode([early])).toThrow(
      expect.objectContaining({ code: "SHAPE_SITES" }),
    );
    for (const tensor of [...made, ...decoded]) tensor.dispose();
    sae.dispose();
    const { sae: other } = await trained("abstopk");
    expect(() => new Crosscoder(other)).toThrow(
      expect.objectContaining({ code: "CROSSCODER_SITES" }),
    );
    other.dispose();
  });
});

describe("a planted transcoder", () => {
  // The same features at both sites, along directions that have nothing to do with each other; the target is five times as large.
  const world = new SyntheticWorld({ features: 10, dIn: 20, firing: 0.12, deviation: 0.2 });
  const [dIn, dOut] = [12, 8];
  const scaled = (rows: Float32Array): Float32Array =>
    rows.map((value, at) => (at % 20 >= dIn ? 5 * value : value));
  const rows = scaled(world.sample(16_384, 0).activations);
  const heldOut = scaled(world.sample(1024, 1).activations);
  const targets = Float64Array.from({ length: 10 * dOut }, (_, at) => {
    const [feature, column] = [Math.floor(at / dOut), at % dOut];
    return world.directions[feature * 20 + dIn + column] ?? 0;
  });

  it.each([
    ["topk", { k: 2 }],
    ["short-run", { sparsity: 0.05 }],
    ["standard", { sparsity: 0.4 }],
  ] as const)("%s writes the features' directions at the other site", async (name, own) => {
    const config = recipe(name, {
      dSae: 16,
      tokens: 128 * 400,
      batchSize: 128,
      points: 1,
      transcoder: { dOut, targetScale: "target" },
      ...own,
    });
    const { sae, history } = await trainSae({
      device,
      config: { ...config, learningRate: 5e-3, normalisationTokens: 4096 },
      batches: arrayBatches(rows, 20, 2),
      heldOut,
    });
    using owned = sae;
    const { input, target } = splitColumns(heldOut, layoutOf(config, 20));
    const metrics = await evaluateSae(owned, [{ activations: input, targets: target }]);
    expect(metrics.fvu).toBeCloseTo(history.points.at(-1)?.heldOutFvu ?? 1, 4);
    expect(metrics.fvu).toBeLessThan(name === "standard" ? 0.4 : 0.25);
    const { meanMatchedCosine } = await compareDirections(
      { rows: await owned.decoder.floats(), width: dOut },
      { rows: targets, width: dOut },
      { device, absolute: true, resamples: 0 },
    );
    // Random directions match to 0.6 at most.
    expect(meanMatchedCosine).toBeGreaterThan(0.78);
  });
});

describe("the stream", () => {
  it("must be as wide as the configuration's sites", () => {
    const options = { dSae: 8, k: 2, sites: [{ name: "one", width: 4 }] };
    for (const [config, width] of [
      [recipe("crosscoder", options), 5],
      [recipe("topk", { ...options, transcoder: { dOut: 4 } }), 4],
    ] as const)
      expect(() => layoutOf(config, width)).toThrow(
        expect.objectContaining({ code: "TRAIN_STREAM_WIDTH" }),
      );
  });
});

/** A store of two shards, one of each split, with `dIn` columns that tell the store, the row and the column. */
function storeOf(
  name: string,
  dIn: number,
  changes: { readonly masks?: readonly number[]; readonly tokens?: readonly number[] } = {},
): ActivationStore {
  const masks = Uint8Array.from(changes.masks ?? [1, 0, 0, 0]);
  const kept = masks.filter((mask) => mask === 0).length;
  const counts = { contexts: 1, tokens: 4, kept };
  const shards = (["train", "held-out"] as const).map((split) => ({ ...counts, split }));
  const shardOf = (index: number): Shard =>
    ({
      record: shards[index],
      tokens: Int32Array.from(changes.tokens ?? [5, 6, 7, 8]),
      documents: new Int32Array(4).fill(index),
      contexts: new Int32Array(4).fill(index),
      positions: Int32Array.of(0, 1, 2, 3),
      masks,
      activations: Float32Array.from(
        { length: 4 * dIn },
        (_, at) => 100 * name.length + 10 * (4 * index + Math.floor(at / dIn)) + (at % dIn),
      ),
      // Only what the joined store reads.
    }) as unknown as Shard;
  return {
    name,
    dIn,
    manifest: {
      site: name,
      dIn,
      shards,
      counts: { ...counts, splits: { train: counts, "held-out": counts } },
      documents: { count: 2 },
      split: { heldOut: 0.5 },
    } as unknown as Manifest,
    shards: (split) => (split === undefined ? [0, 1] : split === "train" ? [0] : [1]),
    readShard: (index) => Promise.resolve(shardOf(index)),
    readTokens: (index) => Promise.resolve(shardOf(index)),
    readDocuments: () => Promise.resolve([]),
  };
}

describe("joinStores", () => {
  it("puts the sites side by side, and masks what either masks", async () => {
    const joined = await joinStores([storeOf("a", 2), storeOf("bb", 3, { masks: [1, 0, 2, 0] })]);
    expect(joined).toMatchObject({ name: "a + bb", dIn: 5 });
    expect(joined.manifest.counts).toMatchObject({ kept: 4, splits: { train: { kept: 2 } } });
    const shard = await joined.readShard(1);
    expect(Array.from(shard.masks)).toEqual([1, 0, 2, 0]);
    expect(shard.record.kept).toBe(2);
    expect(Array.from(shard.activations.subarray(5, 10))).toEqual([150, 151, 250, 251, 252]);
    expect(Array.from((await joined.readTokens(0)).masks)).toEqual([1, 0, 2, 0]);
    const batches = shardBatches(joined, { seed: 0 });
    expect(batches).toMatchObject({ dIn: 5, uniqueTokens: 2 });
    const rows = await batches.next(2);
    expect(Array.from(rows.filter((_, at) => at % 5 === 0)).toSorted((a, b) => a - b)).toEqual([
      110, 130,
    ]);
    const held = await heldOutRows(joined, 10);
    expect(Array.from(held)).toEqual([150, 151, 250, 251, 252, 170, 171, 270, 271, 272]);
  });

  it("refuses stores of other tokens, naming the first", async () => {
    await expect(
      joinStores([storeOf("a", 2), storeOf("bb", 3, { tokens: [5, 6, 9, 8] })]),
    ).rejects.toMatchObject({
      code: "STORES_DIFFER",
      message: expect.stringMatching(/tokens of row 2 of shard 0 is 7 in a and 9 in bb/u) as string,
    });
    await expect(joinStores([])).rejects.toMatchObject({ code: "STORES_DIFFER" });
  });
});
