import { arrayBatches } from "@latentkit/activations";
import { DeviceError, type ProgressEvent } from "@latentkit/core";
import { createReferenceBackend, Device } from "@latentkit/tensor";
import { expectNoLeaks, registerMatchers } from "@latentkit/tensor/testing";
import { fc, test } from "@fast-check/vitest";
import { afterAll, describe, expect, it } from "vitest";
import { Sae } from "../sae.ts";
import { randomStep } from "../testing/random-parameters.ts";
import { smallRun, smallRunKinds } from "../testing/small-run.ts";
import { foldForExport } from "./fold.ts";
import { geometricMedian, initialDecoder } from "./initialise.ts";
import { StatisticsSums, streamStatistics } from "./normalise.ts";
import { trainSae } from "./train-sae.ts";

registerMatchers(expect);

const device = new Device(createReferenceBackend());
afterAll(() => {
  expectNoLeaks(device);
  device.dispose();
});

describe("trainSae", () => {
  it("reports what a reader needs, while it runs and at its end", async () => {
    const events: ProgressEvent[] = [];
    const run = smallRun("jumprelu-raw", device, 7);
    const { sae, history } = await trainSae({
      ...run,
      metadata: { modelName: "m", hookName: "blocks.0.hook_mlp_out" },
      onProgress: (event) => events.push(event),
    });
    expect(sae.config).toMatchObject({
      architecture: "jumprelu",
      dIn: 6,
      dSae: 20,
      applyBDecToInput: false,
      normalizeActivations: "none",
      metadata: { modelName: "m" },
    });
    expect(events.map(({ done, total, unit }) => [done, total, unit])).toEqual(
      [1, 2, 3, 4, 5, 6, 7].map((step) => [step * 32, 224, "presentations"]),
    );
    expect(Object.keys(events.at(-1)?.figures ?? {}).sort()).toEqual([
      "dead",
      "dense",
      "fvu",
      "heldOutFvu",
      "heldOutL0",
      "l0",
      "loss",
      "tokensPerSecond",
      "uniqueTokens",
    ]);
    expect(history.points.map(({ step }) => step)).toEqual([3, 6, 7]);
    expect(history).toMatchObject({
      schemaVersion: 1,
      recipe: "custom",
      uniqueTokens: 260,
      presentations: 224,
      backend: { name: "reference" },
    });
    expect(history.points.at(-1)).toMatchObject({ presentations: 224, uniqueTokens: 224 });
    sae.dispose();
  });

  it.each(smallRunKinds)(
    "gives back all that it took, whichever allocation fails: %s",
    async (kind) => {
      const backend = createReferenceBackend();
      let left = Number.POSITIVE_INFINITY;
      const fragile = new Device({
        ...backend,
        allocate(byteLength: number) {
          if (--left < 0) {
            throw new DeviceError({
              code: "DEVICE_OUT_OF_MEMORY",
              message: "no memory is left",
              fix: "free some",
            });
          }
          return backend.allocate(byteLength);
        },
      });
      let failures = 0;
      for (let allocation = 0; ; allocation++) {
        left = allocation;
        const ended = await trainSae(smallRun(kind, fragile, 1)).then(
          ({ sae }) => sae,
          (error: unknown) => error,
        );
        if (ended instanceof Sae) {
          ended.dispose();
          break;
        }
        failures++;
        expect(ended).toMatchObject({ code: "DEVICE_OUT_OF_MEMORY" });
        expect(fragile.memory().liveBytes, `allocation ${allocation}`).toBe(0);
      }
      expect(failures).toBeGreaterThan(20);
      fragile.dispose();
    },
  );

  it("counts unique tokens apart from presentations once it repeats itself", async () => {
    const { sae, history } = await trainSae(smallRun("topk", device, 12));
    sae.dispose();
    expect(history.points.at(-1)).toMatchObject({ presentations: 384, uniqueTokens: 260 });
  });

  it("reports the held-out L0 and FVU of the SAE that it returns", async () => {
    const run = smallRun("jumprelu-log", device, 6);
    const { sae, history } = await trainSae(run);
    const { dIn } = sae.config;
    const rows = run.heldOut.length / dIn;
    using x = device.tensor(run.heldOut, [rows, dIn]);
    using reconstruction = sae.reconstruct(x);
    const values = await reconstruction.floats();
    const sums = new StatisticsSums(dIn);
    sums.add(run.heldOut);
    const { scale, variance } = sums.statistics();
    const error =
      values.reduce((sum, value, index) => sum + (value - (run.heldOut[index] ?? 0)) ** 2, 0) /
      rows;
    expect(history.points.at(-1)?.heldOutFvu).toBeCloseTo(error / (variance * scale ** 2), 6);
    sae.dispose();
  });

  it("keeps decoder rows at unit norm", async () => {
    const { sae } = await trainSae(smallRun("topk", device, 9));
    const decoder = await sae.decoder.floats();
    for (let latent = 0; latent < 20; latent++)
      expect(Math.hypot(...decoder.subarray(latent * 6, latent * 6 + 6))).toBeCloseTo(1, 6);
    sae.dispose();
  });

  it("refuses data that it cannot learn from, and stops when the loss is no number", async () => {
    const run = smallRun("topk", device, 5);
    await expect(trainSae({ ...run, heldOut: new Float32Array(0) })).rejects.toMatchObject({
      code: "HELD_OUT_EMPTY",
    });
    await expect(trainSae({ ...run, heldOut: new Float32Array(7) })).rejects.toMatchObject({
      code: "SHAPE_ROWS",
    });
    await expect(
      trainSae({ ...run, batches: arrayBatches(new Float32Array(60).fill(2), 6, 0) }),
    ).rejects.toMatchObject({ code: "ACTIVATIONS_CONSTANT" });
    const broken = Float32Array.from({ length: 60 }, (_, index) =>
      index === 5 ? Number.NaN : index % 7,
    );
    await expect(trainSae({ ...run, batches: arrayBatches(broken, 6, 0) })).rejects.toMatchObject({
      code: "ACTIVATIONS_NOT_FINITE",
    });
    await expect(
      trainSae({ ...run, config: { ...run.config, learningRate: 1e38 } }),
    ).rejects.toMatchObject({ code: "TRAIN_DIVERGED" });
    await expect(trainSae({ ...run, signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: "ABORTED",
    });
  });
});

describe("what a run starts from", () => {
  it("has unit decoder rows that depend on the seed alone", () => {
    const decoder = initialDecoder(10, 7, 3);
    for (let latent = 0; latent < 10; latent++)
      expect(Math.hypot(...decoder.subarray(latent * 7, latent * 7 + 7))).toBeCloseTo(1, 6);
    expect(initialDecoder(10, 7, 3)).toEqual(decoder);
    expect(initialDecoder(10, 7, 4)).not.toEqual(decoder);
    // Uniform within a box, so each sign about half of the time.
    const positive =
      initialDecoder(200, 50, 1).reduce((count, value) => count + (value > 0 ? 1 : 0), 0) / 10_000;
    expect(Math.abs(positive - 0.5)).toBeLessThan(0.02);
  });

  it("finds the geometric median, which an outlier does not move", () => {
    const square = [1, 1, -1, 1, 1, -1, -1, -1];
    expect(Array.from(geometricMedian(Float32Array.from(square), 2))).toBeClose([0, 0], {
      rtol: 0,
      atol: 1e-6,
    });
    // With more points at one place than elsewhere together, the median is there.
    const heavy = [5, 5, 5, 5, 5, 5, 1000, -1000, 0, 0];
    expect(Array.from(geometricMedian(Float32Array.from(heavy), 2))).toBeClose([5, 5], {
      rtol: 0,
      atol: 1e-2,
    });
  });

  it("estimates scale and variance without moving the stream", async () => {
    const { batches } = smallRun("topk", device, 1);
    await batches.next(17);
    const before = batches.state();
    const statistics = await streamStatistics(batches, 200, 32);
    expect(batches.state()).toEqual(before);
    expect(statistics.variance).toBeLessThan(1);
    expect(statistics.scale).toBeGreaterThan(0);
  });
});

describe("foldForExport", () => {
  test.prop(
    [
      fc.integer({ min: 1, max: 6 }),
      fc.integer({ min: 1, max: 9 }),
      fc.double({ min: 0.1, max: 50, noNaN: true }),
      fc.boolean(),
      fc.integer({ min: 0, max: 99 }),
    ],
    { numRuns: 30, seed: 1 },
  )("gives C times what the trained SAE gives on x / C", async (dIn, dSae, scale, topK, seed) => {
    const { parameters, x } = randomStep({
      dIn,
      dSae,
      rows: 5,
      seed,
      threshold: topK ? null : 0.1,
    });
    const f32 = (values: Float64Array): Float32Array => Float32Array.from(values);
    const weights = {
      encoderRows: f32(parameters.encoderRows),
      decoder: f32(parameters.decoder),
      encoderBias: f32(parameters.encoderBias),
      decoderBias: f32(parameters.decoderBias),
      threshold: parameters.threshold === null ? null : f32(parameters.threshold),
    };
    const config = topK
      ? ({ architecture: "topk", dIn, dSae, k: dSae } as const)
      : ({ architecture: "jumprelu", dIn, dSae } as const);
    using trained = Sae.fromWeights(device, { ...config, applyBDecToInput: true }, weights);
    using exported = Sae.fromWeights(device, config, foldForExport(weights, scale));
    using small = device.tensor(f32(x), [5, dIn]);
    using raw = device.tensor(f32(x.map((value) => value * scale)), [5, dIn]);
    using inner = trained.reconstruct(small);
    using outer = exported.reconstruct(raw);
    const expected = (await inner.floats()).map((value) => value * scale);
    const size = Math.max(...expected.map(Math.abs), scale);
    // A pre-activation within rounding of its threshold may fall on either side: allow a latent's worth of threshold then.
    const tight = (await outer.floats()).every(
      (value, index) => Math.abs(value - (expected[index] ?? 0)) < 1e-5 * size,
    );
    const near = nearThreshold(parameters.threshold, x, parameters, dIn);
    expect(tight || near).toBe(true);
  });
});

function nearThreshold(
  threshold: Float64Array | null,
  x: Float64Array,
  parameters: {
    readonly encoderRows: Float64Array;
    readonly encoderBias: Float64Array;
    readonly decoderBias: Float64Array;
  },
  dIn: number,
): boolean {
  if (threshold === null) return false;
  for (let row = 0; row < x.length / dIn; row++) {
    for (const [latent, theta] of threshold.entries()) {
      let pre = parameters.encoderBias[latent] ?? 0;
      for (let c = 0; c < dIn; c++)
        pre +=
          (parameters.encoderRows[latent * dIn + c] ?? 0) *
          ((x[row * dIn + c] ?? 0) - (parameters.decoderBias[c] ?? 0));
      if (Math.abs(pre - theta) < 1e-5) return true;
    }
  }
  return false;
}
