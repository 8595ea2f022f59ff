import { afterEach, describe, expect, it } from "vitest";
import {
  distance,
  familyCases,
  openGolden,
  openModel,
  prompts,
  referenceDevice,
} from "./__fixtures__/support.ts";
import { logitLens } from "./logit-lens.ts";

const device = referenceDevice();

afterEach(() => expect(device.memory().liveBytes).toBe(0));

it.each(familyCases)("is the model itself at the end of %s", async (name) => {
  using model = await openModel(name, device);
  const last = `blocks.${model.config.layers - 1}.hook_resid_post`;
  using run = model.run(prompts);
  const expected = await run.logits!.floats();
  const [site] = await logitLens(model, prompts, { sites: [last], keepLogits: true });
  expect(site!.site).toBe(last);
  expect(site!.places.map(({ row, position }) => [row, position])).toEqual(
    [0, 1].flatMap((row) => Array.from({ length: 12 }, (_, position) => [row, position])),
  );
  const logits = site!.places.flatMap((place) => [...place.logits!]);
  expect(distance(logits, expected)).toBeLessThan(1e-5);
});

it.each(["llama", "gpt2"])("sees what TransformerLens sees in %s", async (name) => {
  using model = await openModel(name, device);
  const golden = await openGolden(name);
  const tokens = await golden.tokens("clean");
  const sites = await logitLens(model, tokens, { keepLogits: true });
  const logits = sites.flatMap((site) => site.places.flatMap((place) => [...place.logits!]));
  expect(distance(logits, await golden.floats("lens"))).toBeLessThan(1e-4);
});

describe("tokens", () => {
  it("are ranked, the likeliest first, with probabilities that sum to 1", async () => {
    using model = await openModel("llama", device);
    const { vocabulary } = model.config;
    const targets = [5, 30];
    const options = { positions: [-1, 2], topK: vocabulary, targets, keepLogits: true };
    const sites = await logitLens(model, prompts, options);
    expect(sites.map(({ site }) => site)).toEqual([
      "blocks.0.hook_resid_pre",
      "blocks.1.hook_resid_pre",
      "blocks.1.hook_resid_post",
    ]);
    for (const { places } of sites) {
      expect(places.map(({ position }) => position)).toEqual([11, 2, 11, 2]);
      for (const { top, targets: found, logits } of places) {
        const order = Array.from(logits!, (logit, token) => ({ logit, token })).toSorted(
          (a, b) => b.logit - a.logit || a.token - b.token,
        );
        expect(top.map(({ token }) => token)).toEqual(order.map(({ token }) => token));
        const total = top.reduce((sum, { logProbability }) => sum + Math.exp(logProbability), 0);
        expect(Math.abs(total - 1)).toBeLessThan(1e-6);
        expect(found.map(({ token }) => token)).toEqual(targets);
        for (const { token, rank, logit, logProbability } of found)
          expect(top[rank]).toEqual({ token, rank, logit, logProbability });
      }
    }
  });

  it("are as many as asked for, and the next ones where that is wanted", async () => {
    using model = await openModel("llama", device);
    const [site] = await logitLens(model, prompts, {
      sites: ["blocks.0.hook_mlp_out"],
      positions: [0, 10, 11],
      topK: 3,
      targets: "next",
    });
    expect(site!.places.map(({ top }) => top.length)).toEqual(Array.from({ length: 6 }, () => 3));
    expect(site!.places.map(({ targets }) => targets.map(({ token }) => token))).toEqual(
      prompts.flatMap((row) => [[row[1]], [row[11]], []]),
    );
    expect(site!.places.every(({ logits }) => logits === null)).toBe(true);
    const [none] = await logitLens(model, prompts, { positions: [0], topK: 0 });
    expect(none!.places.map(({ top }) => top)).toEqual([[], []]);
  });
});

it("names the lower id first of equally likely tokens", async () => {
  using model = await openModel("llama", device);
  using zeros = device.zeros(model.unembedding().shape);
  using blind = model.withWeights(new Map([["lm_head.weight", zeros]]));
  const [site] = await logitLens(blind, prompts, { positions: [0], topK: 3, targets: [40] });
  const [{ top, targets } = { top: [], targets: [] }] = site!.places;
  expect(top.map(({ token, rank }) => [token, rank])).toEqual([
    [0, 0],
    [1, 0],
    [2, 0],
  ]);
  expect(targets[0]!.rank).toBe(0);
  expect(Math.abs(targets[0]!.logProbability + Math.log(43))).toBeLessThan(1e-6);
});

it("refuses other sites, tells of progress and stops on request", async () => {
  using model = await openModel("llama", device);
  const lens = (options: Parameters<typeof logitLens>[2]) => logitLens(model, prompts, options);
  await expect(lens({ sites: ["blocks.0.ln1.hook_normalized"] })).rejects.toMatchObject({
    code: "ANALYSIS_SITE",
    fix: expect.stringContaining("hook_attn_out"),
  });
  for (const [options, code] of [
    [{ sites: ["blocks.0.hook_resid_psot"] }, "SITE_UNKNOWN"],
    [{ positions: [-13] }, "ANALYSIS_POSITION"],
    [{ targets: [43] }, "ANALYSIS_TOKENS"],
  ] as const)
    await expect(lens(options)).rejects.toMatchObject({ code });

  const seen: number[] = [];
  const stop = new AbortController();
  const onProgress = ({ done, total }: { done: number; total?: number | undefined }) => {
    expect(total).toBe(3);
    seen.push(done);
    if (done === 2) stop.abort();
  };
  await expect(lens({ signal: stop.signal, onProgress })).rejects.toMatchObject({
    code: "ABORTED",
  });
  expect(seen).toEqual([1, 2]);
});
