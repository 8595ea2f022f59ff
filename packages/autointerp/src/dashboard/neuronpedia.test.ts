import { openCpuDevice } from "@latentkit/backend-cpu";
import { randomModel } from "@latentkit/models";
import type { Sae } from "@latentkit/sae";
import type { Device } from "@latentkit/tensor";
import { expectNoLeaks, registerMatchers } from "@latentkit/tensor/testing";
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import {
  contextsOf,
  mask,
  meanings,
  plantedModel,
  plantedSae,
  plantedTexts,
  site,
  width,
} from "../__fixtures__/planted-latents.ts";
import { gatherExamples, type GatheredExamples } from "../gather/gather-examples.ts";
import { modelTokens } from "../gather/token-source.ts";
import { directLogits, histogramOf } from "./direct-logits.ts";
import { neuronpediaBatch, neuronpediaBatchSchema } from "./neuronpedia.ts";
import { quantileGroups } from "./quantile-groups.ts";

registerMatchers(expect);

let device: Device;
let model: ReturnType<typeof plantedModel>;
let sae: Sae;
let examples: GatheredExamples;
const texts = plantedTexts(60);

beforeAll(async () => {
  device = await openCpuDevice();
  model = plantedModel(device);
  sae = await plantedSae(device, model);
  const source = modelTokens(model, contextsOf(model.tokenizer, texts), { site, mask });
  examples = await gatherExamples(sae, source, { windowTokens: 16, top: 3, sample: 8 });
});
afterAll(() => {
  model.dispose();
  sae.dispose();
  expectNoLeaks(device);
  device.dispose();
});

describe("directLogits", () => {
  it("are products of the decoder row, the final norm's weight and the unembedding, in f64", async () => {
    const found = await directLogits(model, sae, [1, 3], { tokens: 4, bins: 7 });
    const { decoder } = await sae.weights();
    const gain = await model.finalNormWeight().floats();
    const heads = await model.unembedding().floats();
    for (const latent of [1, 3]) {
      const logits = Array.from({ length: heads.length / width }, (_, token) => {
        let sum = 0;
        for (let column = 0; column < width; column++)
          sum +=
            (decoder[latent * width + column] ?? 0) *
            (gain[column] ?? 0) *
            (heads[token * width + column] ?? 0);
        return sum;
      });
      const order = [...logits.keys()].toSorted((a, b) => (logits[b] ?? 0) - (logits[a] ?? 0));
      const own = found?.get(latent);
      expect(own?.positive.map(({ token }) => token)).toEqual(order.slice(0, 4));
      expect(own?.negative.map(({ token }) => token)).toEqual(order.slice(-4).toReversed());
      expect(own?.positive.map(({ value }) => value)).toBeClose(
        order.slice(0, 4).map((token) => logits[token] ?? 0),
        { rtol: 1e-4, atol: 1e-5 },
      );
      expect(own?.histogram.heights.reduce((sum, count) => sum + count, 0)).toBe(logits.length);
    }
  });

  it("puts values into equal bins", () => {
    expect(histogramOf([0, 1, 2, 3, 4, 4], 4)).toEqual({
      heights: [1, 1, 1, 3],
      values: [0.5, 1.5, 2.5, 3.5],
    });
    expect(histogramOf([5, 5], 2).heights).toEqual([2, 0]);
    expect(histogramOf([], 3)).toEqual({ heights: [], values: [] });
  });
});

describe("quantileGroups", () => {
  it("draws windows by strength, and its shares are those of the tokens", () => {
    const values = [0.5, 1.5, 2.5, 3.5, 4, 3.9, 0.2];
    const base = examples.latents.get(0);
    if (base === undefined) throw new TypeError("latent 0 was gathered");
    const [template] = base.sample;
    if (template === undefined) throw new TypeError("it fires");
    const windows = values.map((maximum, number) => ({ ...template, number, maximum }));
    const groups = quantileGroups(
      {
        ...base,
        maximum: 4,
        firedTokens: 7,
        sample: windows,
        histogram: { values: [0.5, 1.5, 2.5, 3.5], heights: [2, 1, 1, 3] },
      },
      100,
      { groups: 4, size: 2, seed: 1 },
    );
    expect(groups.map(({ low, high }) => [low, high])).toEqual([
      [3, 4],
      [2, 3],
      [1, 2],
      [0, 1],
    ]);
    expect(groups.map(({ share }) => share)).toBeClose([0.03, 0.01, 0.01, 0.95], {
      rtol: 1e-12,
      atol: 0,
    });
    expect(groups.map(({ windows: drawn }) => drawn.length)).toEqual([2, 1, 1, 2]);
    for (const { low, high, windows: drawn } of groups)
      for (const { maximum } of drawn) expect(maximum > low && maximum <= high).toBe(true);
    const dead = examples.latents.get(4);
    expect(dead && quantileGroups(dead, 100, { groups: 4, size: 2, seed: 1 })).toEqual([]);
  });
});

describe("neuronpediaBatch", () => {
  it("has the fields of SAEDashboard's batch files, and says what the text says", async () => {
    const batch = await neuronpediaBatch({
      model,
      sae,
      examples,
      modelId: "planted",
      saeSet: "embed-5",
      dataset: "made up",
      quantiles: 2,
      quantileWindows: 2,
    });
    expect(neuronpediaBatchSchema.parse(JSON.parse(JSON.stringify(batch)))).toEqual(batch);
    const names = z.object({
      batch: z.array(z.string()),
      feature: z.array(z.string()),
      activation: z.array(z.string()),
    });
    const fields = names.parse(
      JSON.parse(
        readFileSync(new URL("../__fixtures__/sae-dashboard-fields.json", import.meta.url), "utf8"),
      ),
    );
    const [digits] = batch.features;
    expect(Object.keys(batch).toSorted()).toEqual(fields.batch.toSorted());
    expect(Object.keys(digits ?? {}).toSorted()).toEqual(fields.feature.toSorted());
    expect(Object.keys(digits?.activations[0] ?? {}).toSorted()).toEqual(
      fields.activation.toSorted(),
    );
    for (const { feature_index: latent, frac_nonzero: share, activations } of batch.features) {
      const characters: string = meanings[latent]?.characters ?? "";
      const fires = texts
        .map((text) => Array.from(text.slice(1)).filter((one) => characters.includes(one)).length)
        .reduce((sum, count) => sum + count, 0);
      expect(share).toBeCloseTo(fires / (60 * 47), 9);
      for (const { tokens, values, qualifying_token_index: peak, bin_min: low } of activations) {
        expect(tokens).toHaveLength(16);
        for (const [at, token] of tokens.entries())
          expect((values[at] ?? 0) > 0).toBe(characters.includes(token));
        expect(values[peak]).toBe(Math.max(...values));
        expect(low === -1 || low >= 0).toBe(true);
      }
    }
    expect(digits?.activations.filter(({ bin_min: low }) => low === -1)).toHaveLength(3);
    expect(digits?.freq_hist_data_bar_heights.reduce((sum, count) => sum + count, 0)).toBe(
      Math.round((digits?.frac_nonzero ?? 0) * 60 * 47),
    );
  });

  it("equals the file that SAEDashboard's own classes were shown", async () => {
    const batch = await neuronpediaBatch({ model, sae, examples, latents: [2, 4] });
    const shown = neuronpediaBatchSchema.parse(
      JSON.parse(
        readFileSync(new URL("../__fixtures__/neuronpedia-batch.json", import.meta.url), "utf8"),
      ),
    );
    // Logits are products of random weights, which round by the matrix library.
    const rounded = (value: typeof batch) =>
      JSON.parse(
        JSON.stringify(value, (key, found: unknown) =>
          /^(pos|neg|logits|neuron|freq_hist_data_bar_values|values|bin_max|bin_min)/u.test(key)
            ? null
            : found,
        ),
      ) as unknown;
    expect(rounded(batch)).toEqual(rounded(shown));
  });

  it("refuses latents that were not gathered, and a model without text", async () => {
    await expect(neuronpediaBatch({ model, sae, examples, latents: [17] })).rejects.toMatchObject({
      code: "DASHBOARD_LATENT",
    });
    using mute = randomModel({ device, seed: 1, config: { vocabulary: 8 } });
    await expect(neuronpediaBatch({ model: mute, sae, examples })).rejects.toMatchObject({
      code: "TOKENIZER_MISSING",
    });
  });
});
