import { maskReasons } from "@latentkit/activations";
import { openCpuDevice } from "@latentkit/backend-cpu";
import { Random } from "@latentkit/core";
import type { LanguageModel } from "@latentkit/models";
import { contextRows, Sae, type SpliceContext } from "@latentkit/sae";
import { type Device, sparseToDense } from "@latentkit/tensor";
import { expectNoLeaks } from "@latentkit/tensor/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  contextsOf,
  mask,
  plantedModel,
  plantedTexts,
  site,
  width,
} from "../__fixtures__/planted-latents.ts";
import { gatherExamples, type GatherCheckpoint, readExamples } from "./gather-examples.ts";
import { modelTokens, type TokenSource } from "./token-source.ts";

const dSae = 10;
const windowTokens = 8;
const options = { windowTokens, top: 4, sample: 6, background: 12, seed: 3 };
let device: Device;
let model: LanguageModel;
let sae: Sae;
let contexts: SpliceContext[];
let source: TokenSource;

beforeAll(async () => {
  device = await openCpuDevice();
  const planted = plantedModel(device);
  model = planted;
  const random = new Random(8);
  const draw = (length: number): Float32Array => random.fillNormal(new Float32Array(length));
  sae = Sae.fromWeights(
    device,
    { architecture: "jumprelu", dIn: width, dSae },
    {
      encoderRows: draw(dSae * width),
      decoder: draw(dSae * width),
      encoderBias: new Float32Array(dSae),
      decoderBias: new Float32Array(width),
      // The last one never fires.
      threshold: Float32Array.from({ length: dSae }, (_, latent) => (latent === 9 ? 1e9 : 0.1)),
    },
  );
  contexts = contextsOf(
    planted.tokenizer,
    plantedTexts(21).map((text, index) => text.slice(0, 48 - (index % 5))),
  );
  source = modelTokens(model, contexts, { site, mask, batchSize: 4 });
});
afterAll(() => {
  model.dispose();
  sae.dispose();
  expectNoLeaks(device);
  device.dispose();
});

interface Window {
  readonly context: number;
  readonly start: number;
  readonly tokens: number[];
  /** `[latents][tokens]`, 0 where masked. */
  readonly values: number[][];
}

/** All windows with all activations, by dense encoding. */
async function allWindows(): Promise<Window[]> {
  const windows: Window[] = [];
  for (const [context, one] of contexts.entries()) {
    for await (const rows of contextRows(model, [one], { site, mask })) {
      using dense = device.scope(() =>
        sparseToDense(sae.encode(device.tensor(rows.activations, [one.length, width]))),
      );
      const values = await dense.floats();
      for (let start = 0; start < one.length; start += windowTokens) {
        const places = Array.from(
          { length: Math.min(windowTokens, one.length - start) },
          (_, at) => start + at,
        );
        windows.push({
          context,
          start,
          tokens: places.map((at) => one.tokens[at] ?? 0),
          values: Array.from({ length: dSae }, (_, latent) =>
            places.map((at) =>
              rows.masks?.[at] === maskReasons.keep ? (values[at * dSae + latent] ?? 0) : 0,
            ),
          ),
        });
      }
    }
  }
  return windows;
}

function memory(): GatherCheckpoint & { bytes: Uint8Array<ArrayBuffer> | null; saves: number } {
  return {
    name: "memory",
    bytes: null,
    saves: 0,
    load() {
      return Promise.resolve(this.bytes);
    },
    save(bytes) {
      this.bytes = bytes;
      this.saves += 1;
      return Promise.resolve();
    },
  };
}

describe("gatherExamples", () => {
  it("keeps what a table of all activations says", async () => {
    const windows = await allWindows();
    const result = await gatherExamples(sae, source, options);
    expect(result.windows).toBe(windows.length);
    expect(result.tokens).toBe(contexts.reduce((sum, { length }) => sum + length - 1, 0));
    expect([...result.latents.keys()]).toEqual(Array.from({ length: dSae }, (_, index) => index));
    for (const [latent, found] of result.latents) {
      const firing = windows
        .map((window, number) => ({ ...window, number, own: window.values[latent] ?? [] }))
        .filter(({ own }) => own.some((value) => value > 0));
      const fired = firing.flatMap(({ own }) => own.filter((value) => value > 0));
      expect(found.firedWindows).toBe(firing.length);
      expect(found.firedTokens).toBe(fired.length);
      expect(found.sum).toBeCloseTo(
        fired.reduce((sum, value) => sum + value, 0),
        3,
      );
      expect(found.histogram.heights.reduce((sum, count) => sum + count, 0)).toBe(fired.length);
      const strongest = firing
        .toSorted((a, b) => Math.max(...b.own) - Math.max(...a.own) || a.number - b.number)
        .slice(0, 4);
      expect(found.top.map(({ number }) => number)).toEqual(strongest.map(({ number }) => number));
      for (const [rank, window] of found.top.entries()) {
        const expected = strongest[rank];
        expect([...window.tokens]).toEqual(expected?.tokens);
        expect(window).toMatchObject({ context: expected?.context, start: expected?.start });
        for (const [at, value] of window.values.entries())
          expect(value).toBeCloseTo(expected?.own[at] ?? Number.NaN, 4);
      }
      expect(found.sample).toHaveLength(Math.min(6, firing.length));
      for (const window of found.sample)
        expect(firing.map(({ number }) => number)).toContain(window.number);
    }
    expect(result.latents.get(9)).toMatchObject({
      firedTokens: 0,
      top: [],
      sample: [],
      maximum: 0,
    });
    expect(result.background).toHaveLength(12);
    for (const { number, firing } of result.background) {
      const values = windows[number]?.values ?? [];
      const expected = [...values.keys()].filter((latent) =>
        values[latent]?.some((value) => value > 0),
      );
      expect([...firing].toSorted((a, b) => a - b)).toEqual(expected);
    }
  });

  it("draws samples uniformly", async () => {
    const counts = new Map<number, number>();
    const runs = 150;
    let windows = 0;
    for (let seed = 0; seed < runs; seed++) {
      const { latents } = await gatherExamples(sae, source, {
        ...options,
        latents: [0],
        sample: 5,
        seed,
      });
      windows = latents.get(0)?.firedWindows ?? 0;
      for (const { number } of latents.get(0)?.sample ?? [])
        counts.set(number, (counts.get(number) ?? 0) + 1);
    }
    expect(windows).toBeGreaterThan(60);
    // Chi-square against equal counts; its standard deviation is sqrt(2 * windows).
    const expected = (5 * runs) / windows;
    let statistic = (windows - counts.size) * expected;
    for (const count of counts.values()) statistic += (count - expected) ** 2 / expected;
    expect(Math.abs(statistic - windows) / Math.sqrt(2 * windows)).toBeLessThan(4);
  });

  it("ends with the same bytes wherever it was stopped", async () => {
    const whole = memory();
    await gatherExamples(sae, source, { ...options, checkpoint: whole, checkpointEvery: 99 });
    expect(whole.saves).toBe(1);
    for (let stop = 1; stop < source.pieces; stop++) {
      const resumed = memory();
      const controller = new AbortController();
      const first = gatherExamples(sae, source, {
        ...options,
        checkpoint: resumed,
        signal: controller.signal,
        onProgress: ({ done }) => {
          if (done === stop) controller.abort();
        },
      });
      await expect(first).rejects.toMatchObject({ code: "ABORTED" });
      await expect(readExamples(resumed.bytes ?? new Uint8Array(0), "half")).rejects.toMatchObject({
        code: "GATHER_UNFINISHED",
        where: "half",
      });
      const result = await gatherExamples(sae, source, {
        ...options,
        checkpoint: resumed,
        checkpointEvery: 2,
      });
      expect(resumed.bytes).toEqual(whole.bytes);
      expect(result).toEqual(await readExamples(resumed.bytes ?? new Uint8Array(0)));
    }
    // On a finished one there is nothing to do.
    await gatherExamples(sae, source, { ...options, checkpoint: whole });
    expect(whole.saves).toBe(1);
  });

  it("refuses a checkpoint of other text, latents or options, and a file that is none", async () => {
    const checkpoint = memory();
    await gatherExamples(sae, source, { ...options, checkpoint });
    const other = modelTokens(model, contexts.slice(1), { site, mask, batchSize: 4 });
    await expect(gatherExamples(sae, other, { ...options, checkpoint })).rejects.toThrow(/source/u);
    await expect(
      gatherExamples(sae, source, { ...options, top: 5, checkpoint }),
    ).rejects.toMatchObject({ code: "GATHER_DIFFERS" });
    for (const wrong of [{ latents: [10] }, { latents: [] }, { top: 0 }, { windowTokens: 1.5 }])
      await expect(gatherExamples(sae, source, wrong)).rejects.toMatchObject({
        code: "GATHER_OPTION",
      });
    const bytes = checkpoint.bytes ?? new Uint8Array(0);
    await expect(readExamples(bytes.slice(0, 100))).rejects.toMatchObject({ name: "FormatError" });
    expect(() => modelTokens(model, [], { site, mask })).toThrow(
      expect.objectContaining({ code: "GATHER_EMPTY" }),
    );
    const narrow = { ...source, dIn: 3 };
    await expect(gatherExamples(sae, narrow, options)).rejects.toMatchObject({ code: "SAE_WIDTH" });
  });
});
