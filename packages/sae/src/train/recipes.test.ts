import { registerMatchers } from "@latentkit/tensor/testing";
import { describe, expect, it } from "vitest";
import { parseTrainConfig } from "./config.ts";
import { paperJumpRelu, recipe, shortRunJumpRelu, topK } from "./recipes.ts";
import { learningRateAt, sparsityAt } from "./schedule.ts";

registerMatchers(expect);

describe("recipes", () => {
  it("has the paper's values (2408.05147, section 3)", () => {
    expect(paperJumpRelu({ dSae: 16_384 })).toMatchObject({
      recipe: "gemma-scope",
      batchSize: 4096,
      steps: 976_563,
      learningRate: 7e-5,
      learningRateWarmup: 1000,
      learningRateDecay: 0,
      adam: { beta1: 0, beta2: 0.999, epsilon: 1e-8 },
      decoderBias: "zero",
      sparsity: 6e-4,
      sparsityWarmup: 10_000,
      bandwidth: 0.001,
      initialThreshold: 0.001,
      thresholdForm: "log",
    });
  });

  it("has the short run's measured values, with warm-ups and points that scale with its length", () => {
    const config = shortRunJumpRelu({ dSae: 4608, tokens: 2_048_000 });
    expect(config).toMatchObject({
      decoderBias: "geometric-median",
      steps: 2000,
      batchSize: 1024,
      learningRate: 1e-3,
      bandwidth: 0.02,
      initialThreshold: 0.02,
      sparsity: 1e-3,
      thresholdForm: "raw",
    });
    expect(config).toMatchObject({
      learningRateWarmup: 100,
      sparsityWarmup: 200,
      learningRateDecay: 0.2,
      evaluateEvery: 80,
      deadAfterTokens: 204_800,
    });
  });

  it("has OpenAI's AuxK weight and the learning rate's rule of width", () => {
    expect(topK({ dSae: 2 ** 16, k: 32, tokens: 1e9 })).toMatchObject({
      k: 32,
      auxiliaryWeight: 1 / 32,
      auxiliaryK: null,
      learningRate: 1e-4,
      deadAfterTokens: 10_000_000,
      decoderBias: "geometric-median",
    });
  });

  it("finds recipes by name", () => {
    expect(recipe("short-run", { dSae: 8, sparsity: 0.1 })).toMatchObject({
      recipe: "short-run",
      sparsity: 0.1,
    });
    expect(recipe("topk", { dSae: 8, k: 2 })).toMatchObject({ recipe: "topk", k: 2 });
    expect(() => recipe("topk", { dSae: 8 })).toThrow(
      expect.objectContaining({ code: "RECIPE_NEEDS_K" }),
    );
    expect(() => recipe("gemma", { dSae: 8 })).toThrow(/"gemma".*gemma-scope, short-run, topk/su);
  });

  it("refuses what cannot be trained, naming the field", () => {
    const config = shortRunJumpRelu({ dSae: 8 });
    expect(() => parseTrainConfig({ ...config, learningRate: -1 })).toThrow(/learningRate/u);
    expect(() => parseTrainConfig({ ...config, initialThreshold: 0.001 })).toThrow(
      /initialThreshold.*bandwidth/su,
    );
    expect(() => topK({ dSae: 8, k: 9 })).toThrow(/k: 9 is more than the 8 latents/u);
    expect(() => parseTrainConfig({ ...config, architecture: "transcoder" })).toThrow(
      expect.objectContaining({ code: "TRAIN_CONFIG_INVALID" }),
    );
  });
});

describe("schedules", () => {
  const config = {
    ...shortRunJumpRelu({ dSae: 8 }),
    steps: 100,
    learningRate: 1,
    learningRateWarmup: 10,
    learningRateDecay: 0.2,
    sparsity: 2,
    sparsityWarmup: 4,
  };

  it("warms the learning rate up by a cosine from a tenth, and lets it fall over the last fifth", () => {
    const rates = [0, 5, 10, 80, 90, 99].map((step) => learningRateAt(config, step));
    expect(rates).toBeClose([0.1, 0.55, 1, 1, 0.5, 0.05], { rtol: 1e-12, atol: 0 });
    expect(learningRateAt({ ...config, learningRateDecay: 0, learningRateWarmup: 0 }, 99)).toBe(1);
  });

  it("raises lambda linearly from 0", () => {
    expect([0, 1, 2, 4, 50].map((step) => sparsityAt(config, step))).toEqual([0, 0.5, 1, 2, 2]);
    expect(sparsityAt({ ...config, sparsityWarmup: 0 }, 0)).toBe(2);
    expect(sparsityAt(topK({ dSae: 8, k: 2 }), 5)).toBe(0);
  });
});
