// SAELens's evals and definitions in f64: oracles/sae/evaluate.py.
import { openCpuDevice } from "@latentkit/backend-cpu";
import { openCheckpoint } from "@latentkit/loaders/node";
import { type LanguageModel, loadModel } from "@latentkit/models";
import { crossEntropy, type Device } from "@latentkit/tensor";
import { expectNoLeaks, registerMatchers } from "@latentkit/tensor/testing";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { loadSae } from "../node/load-sae.ts";
import { Sae } from "../sae.ts";
import type { SpliceContext } from "./context-batch.ts";
import { calibrateMask, contextRows } from "./context-rows.ts";
import { evaluateInModel } from "./evaluate-in-model.ts";
import { evaluateSae } from "./evaluate-sae.ts";
import { parseSaeEvaluation } from "./evaluation-result.ts";
import { latentUniformity, relativeEntropy } from "./latent-uniformity.ts";
import { spliceLoss } from "./splice-loss.ts";

registerMatchers(expect);

const numbers = z.array(z.number());
const golden = z
  .object({
    tokens: z.array(numbers),
    saelens: z.object({ feature_density: numbers }).catchall(z.number()),
    masked: z.object({ densities: numbers, byPosition: numbers }).catchall(z.number()),
    // Null where no latent fires.
    uniformity: z.array(z.array(z.number().nullable())),
  })
  .parse(JSON.parse(readFileSync(new URL("__fixtures__/golden.json", import.meta.url), "utf8")));

const site = "blocks.1.hook_resid_post";
const contexts: SpliceContext[] = golden.tokens.map((tokens, document) => ({
  tokens,
  length: tokens.length,
  document,
}));
const everything = { maskFirstPosition: false, maximumNormRatio: null, medianNorm: 1 };
const butFirst = { ...everything, maskFirstPosition: true };
let device: Device;
let model: LanguageModel;
let sae: Sae;

beforeAll(async () => {
  device = await openCpuDevice();
  const folder = (name: string): string => fileURLToPath(new URL(name, import.meta.url));
  const checkpoint = await openCheckpoint(folder("../../../models/src/__fixtures__/tiny-tied"));
  model = await loadModel(checkpoint, { device });
  await checkpoint.close();
  sae = await loadSae(folder("__fixtures__/golden"), { device });
});
afterAll(() => {
  model.dispose();
  sae.dispose();
  expectNoLeaks(device);
  device.dispose();
});

// The model is computed in f32 on both sides, or in f64 on theirs.
const tolerance = { rtol: 2e-4, atol: 2e-5 };

describe("SAELens's evals", () => {
  it("say the same of activations", async () => {
    const metrics = await evaluateSae(
      sae,
      contextRows(model, contexts, { site, mask: everything, batchSize: 6 }),
    );
    const { saelens } = golden;
    expect([
      metrics.l0,
      1 - metrics.fvu,
      1 - metrics.fvuLegacy,
      metrics.mse,
      metrics.cosine,
      metrics.l2Ratio,
      metrics.relativeReconstructionBias,
    ]).toBeClose(
      [
        saelens["l0"],
        saelens["explained_variance"],
        saelens["explained_variance_legacy"],
        saelens["mse"],
        saelens["cossim"],
        saelens["l2_ratio"],
        saelens["relative_reconstruction_bias"],
      ].map(Number),
      tolerance,
    );
    expect(metrics.densities).toBeClose(saelens.feature_density, { rtol: 1e-6, atol: 1e-7 });
  });

  it("say the same of the model with reconstructions", async () => {
    const result = await spliceLoss(model, sae, contexts, { mask: everything, batchSize: 4 });
    const { saelens } = golden;
    expect([
      result.cleanLoss,
      result.splicedLoss,
      result.ablatedLoss,
      result.recovered,
      result.kl,
      result.ablatedKl,
      result.klScore,
    ]).toBeClose(
      [
        saelens["ce_loss_without_sae"],
        saelens["ce_loss_with_sae"],
        saelens["ce_loss_with_ablation"],
        saelens["ce_loss_score"],
        saelens["kl_div_with_sae"],
        saelens["kl_div_with_ablation"],
        saelens["kl_div_score"],
      ].map(Number),
      tolerance,
    );
  });
});

describe("the definitions in f64, with first positions masked", () => {
  const { masked } = golden;

  it("agree for activations, whatever the batches, and by position", async () => {
    // One batch, since the legacy figure takes the mean of each piece.
    const whole = await evaluateSae(
      sae,
      contextRows(model, contexts, { site, mask: butFirst, batchSize: 6 }),
    );
    expect([
      whole.l0,
      whole.fvu,
      whole.fvuLegacy,
      whole.mse,
      whole.cosine,
      whole.l2Ratio,
      whole.relativeReconstructionBias,
    ]).toBeClose(
      [
        masked["l0"],
        masked["fvu"],
        masked["fvuLegacy"],
        masked["mse"],
        masked["cosine"],
        masked["l2Ratio"],
        masked["relativeReconstructionBias"],
      ].map(Number),
      tolerance,
    );
    expect(whole.byPosition.map(({ first, last }) => [first, last])).toEqual([
      [1, 1],
      [2, 3],
      [4, 7],
      [8, 15],
    ]);
    expect(whole.byPosition.map(({ error }) => error)).toBeClose(masked.byPosition, tolerance);
    // Every figure lies in its interval.
    for (const [figure, interval] of [
      [whole.cosine, whole.cosineInterval],
      [whole.l2Ratio, whole.l2RatioInterval],
      [whole.fvuLegacy, whole.fvuLegacyInterval],
      [whole.mse, whole.mseInterval],
      [whole.relativeReconstructionBias, whole.relativeReconstructionBiasInterval],
      [whole.denseFraction, whole.denseFractionInterval],
      ...whole.byPosition.map(({ error, interval: own }) => [error, own] as const),
    ] as const) {
      expect(interval?.[0]).toBeLessThanOrEqual(figure);
      expect(interval?.[1]).toBeGreaterThanOrEqual(figure);
    }
    const pieces = await evaluateSae(
      sae,
      contextRows(model, contexts, { site, mask: butFirst, batchSize: 1 }),
    );
    expect(pieces.fvu).toBeCloseTo(whole.fvu, 6);
    expect(pieces.denseFractionInterval).toEqual(whole.denseFractionInterval);
    expect(pieces.byPosition.map(({ error }) => error)).toBeClose(masked.byPosition, tolerance);
  });

  it("agree for splicing, zero and mean ablation", async () => {
    const result = await spliceLoss(model, sae, contexts, { mask: butFirst, batchSize: 4 });
    expect([
      result.cleanLoss,
      result.splicedLoss,
      result.ablatedLoss,
      result.meanAblatedLoss,
      result.kl,
      result.ablatedKl,
      result.meanAblatedKl,
    ]).toBeClose(
      [
        masked["cleanLoss"],
        masked["splicedLoss"],
        masked["ablatedLoss"],
        masked["meanLoss"],
        masked["splicedKl"],
        masked["ablatedKl"],
        masked["meanKl"],
      ].map(Number),
      tolerance,
    );
    expect(result.intervals.kl?.[0]).toBeLessThanOrEqual(result.kl);
    expect(result.intervals.klScoreFromMean?.[1]).toBeGreaterThanOrEqual(result.klScoreFromMean);
  });

  it("agree for uniformity, each token by its own gradient", async () => {
    const all = golden.uniformity.flat().filter((value) => value !== null);
    const result = await latentUniformity(model, sae, contexts, {
      mask: butFirst,
      tokensPerContext: 14,
      batchSize: 4,
    });
    expect(result).toMatchObject({ site, documents: 6, tokens: all.length });
    expect([result.uniformity]).toBeClose(
      [all.reduce((sum, value) => sum + value, 0) / all.length],
      tolerance,
    );
    // One context alone, so that a gradient that leaked between contexts or positions would show.
    const [first] = contexts;
    const one = await latentUniformity(model, sae, first === undefined ? [] : [first], {
      mask: butFirst,
      tokensPerContext: 99,
    });
    const expected = (golden.uniformity[0] ?? []).filter((value) => value !== null);
    expect([one.uniformity]).toBeClose(
      [expected.reduce((sum, value) => sum + value, 0) / expected.length],
      tolerance,
    );
    expect(one.interval).toBeNull();
    await expect(
      latentUniformity(
        model,
        sae,
        contexts.map((context) => ({ ...context, length: 2 })),
        { mask: butFirst },
      ),
    ).rejects.toMatchObject({ code: "SPLICE_EMPTY" });
  });
});

describe("relativeEntropy", () => {
  it("is 1 for equal weights, 1 / n for a single one, and leaves zeros out", () => {
    expect(relativeEntropy([2, 2, 0, 2])).toEqual({
      uniformity: expect.closeTo(1, 12),
      effective: expect.closeTo(3, 12),
    });
    expect(relativeEntropy([5])).toEqual({ uniformity: 1, effective: 1 });
    expect(relativeEntropy([0, 0])).toBeNull();
    const skewed = relativeEntropy([1, 1e-9, 1e-9]);
    expect(skewed?.uniformity).toBeCloseTo(1 / 3, 6);
  });
});

describe("evaluateInModel", () => {
  it("puts the same figures together, and its JSON is read back", async () => {
    const options = { mask: butFirst, batchSize: 6, resamples: 50 };
    const result = await evaluateInModel(model, sae, contexts, options);
    expect(result.sae.identity).toBe(await sae.identity());
    expect([result.metrics.fvu]).toBeClose([Number(golden.masked["fvu"])], tolerance);
    expect([result.splice.kl]).toBeClose([Number(golden.masked["splicedKl"])], tolerance);
    // A token of each context, but for those where no latent fires.
    expect(result.uniformity?.documents).toBeLessThanOrEqual(6);
    expect(result.uniformity?.tokens).toBe(result.uniformity?.documents);
    expect(parseSaeEvaluation(JSON.parse(JSON.stringify(result)))).toEqual(result);
    expect(() => parseSaeEvaluation({ ...result, seed: "0" }, "result.json")).toThrow(
      expect.objectContaining({ code: "SAE_EVALUATION", where: "result.json" }),
    );
    const cut = { ...options, spliceContexts: 2, uniformityTokens: 0 };
    const few = await evaluateInModel(model, sae, contexts, cut);
    expect([few.splice.contexts, few.uniformity]).toEqual([2, null]);
    expect(await evaluateInModel(model, sae, contexts, cut)).toEqual(few);
  });

  it("calibrates the mask as harvest does, by the median norm of first contexts", async () => {
    const { mask } = await evaluateInModel(model, sae, contexts, {
      resamples: 0,
      uniformityTokens: 0,
    });
    expect(mask).toEqual(await calibrateMask(model, contexts, { site }));
    const norms: number[] = [];
    for await (const { activations } of contextRows(model, contexts, { site, mask: everything })) {
      for (let row = 0; row < activations.length / 36; row++)
        if (row % 16 > 0) norms.push(Math.hypot(...activations.subarray(row * 36, row * 36 + 36)));
    }
    norms.sort((a, b) => a - b);
    const middle = ((norms[44] ?? 0) + (norms[45] ?? 0)) / 2;
    expect([mask.medianNorm]).toBeClose([middle], { rtol: 1e-5, atol: 0 });
  });

  it("stops on request", async () => {
    await expect(
      evaluateInModel(model, sae, contexts, { mask: butFirst, signal: AbortSignal.abort() }),
    ).rejects.toMatchObject({ code: "ABORTED" });
  });
});

describe("transcoders", () => {
  /** The golden SAE as a transcoder: b_dec of the input folded into b_enc, and two sites. */
  async function transcoder(from: string, to: string): Promise<Sae> {
    const { encoderRows, decoder, encoderBias, decoderBias, threshold } = await sae.weights();
    const { dIn, dSae } = sae.config;
    const bias = encoderBias.map((value, latent) => {
      let along = 0;
      for (let column = 0; column < dIn; column++)
        along += (encoderRows[latent * dIn + column] ?? 0) * (decoderBias[column] ?? 0);
      return value - along;
    });
    return Sae.fromWeights(
      device,
      {
        architecture: "jumprelu",
        dIn,
        dOut: dIn,
        dSae,
        metadata: { hookName: from, hookNameOut: to },
      },
      { encoderRows, decoder, encoderBias: bias, decoderBias, threshold },
    );
  }
  const options = { mask: butFirst, batchSize: 6, resamples: 20, uniformityTokens: 2 };

  it("from a site to itself have an autoencoder's figures", async () => {
    using same = await transcoder(site, site);
    const expected = await evaluateInModel(model, sae, contexts, options);
    const found = await evaluateInModel(model, same, contexts, options);
    const figures = ({ metrics, splice, uniformity }: typeof found): number[] => [
      metrics.l0,
      metrics.fvu,
      metrics.cosine,
      splice.delta,
      splice.kl,
      splice.meanAblatedKl,
      uniformity?.uniformity ?? Number.NaN,
    ];
    expect(figures(found)).toBeClose(figures(expected), tolerance);
  });

  it("are spliced at the site that they write, from the one that they read", async () => {
    const [from, to] = ["blocks.0.hook_resid_post", "blocks.2.hook_resid_mid"];
    using made = await transcoder(from, to);
    const all = { mask: everything, batchSize: 6 };
    const result = await spliceLoss(model, made, contexts, all);
    expect(result.site).toBe(to);
    const tokens = contexts.map(({ tokens: row }) => row);
    using run = model.run(tokens, {
      edits: [
        {
          site: to,
          reads: [from],
          edit: (value, context) =>
            made.reconstruct(context.read(from).reshape([96, 36])).reshape(value.shape),
        },
      ],
    });
    const targets = golden.tokens.flatMap((row) => [...row.slice(1), -1]);
    using losses = device.scope(() => {
      const { logits } = run;
      if (logits === null) throw new TypeError("logits were asked for");
      return crossEntropy(
        logits.reshape([96, logits.size / 96]),
        device.tensor(Int32Array.from(targets), [96]),
      );
    });
    const sum = (await losses.floats()).reduce((total, loss) => total + loss, 0);
    expect([result.splicedLoss]).toBeClose([sum / 90], { rtol: 1e-5, atol: 0 });

    // FVU of what it writes against the site that it should be.
    let [error, spread] = [0, 0];
    for await (const { activations, targets: wanted = new Float32Array(0) } of contextRows(
      model,
      contexts,
      { site: from, targetSite: to, mask: everything, batchSize: 6 },
    )) {
      using out = device.scope(() => made.reconstruct(device.tensor(activations, [96, 36])));
      const written = await out.floats();
      const mean = Array.from({ length: 36 }, (_, column) => {
        let total = 0;
        for (let row = 0; row < 96; row++) total += (wanted[row * 36 + column] ?? 0) / 96;
        return total;
      });
      for (const [index, value] of wanted.entries()) {
        error += (value - (written[index] ?? 0)) ** 2;
        spread += (value - (mean[index % 36] ?? 0)) ** 2;
      }
    }
    const { metrics } = await evaluateInModel(model, made, contexts, {
      mask: everything,
      resamples: 0,
      uniformityTokens: 0,
    });
    expect([metrics.fvu]).toBeClose([error / spread], { rtol: 1e-4, atol: 0 });
    using lost = await transcoder(from, "blocks.0.mlp.hook_post");
    await expect(spliceLoss(model, lost, contexts, all)).rejects.toMatchObject({
      code: "SAE_WIDTH",
    });
  });
});
