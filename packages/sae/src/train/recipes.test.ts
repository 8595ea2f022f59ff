import { registerMatchers } from "@latentkit/tensor/testing";
import { describe, expect, it } from "vitest";
import { recipeNames } from "./common-config.ts";
import { parseTrainConfig } from "./config.ts";
import { trainingArchitectures } from "./registry.ts";
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
    expect(() => recipe("gemma", { dSae: 8 })).toThrow(
      /"gemma".*gated, gemma-scope, gemma-scope-2.*topk/su,
    );
  });

  const sites = [
    { name: "early", width: 6 },
    { name: "late", width: 4 },
  ];
  const options = { dSae: 64, dIn: 16, k: 4, targetL0: 4, sites, tokens: 20_000, batchSize: 200 };

  it.each(recipeNames)("%s gives a configuration that is its own", (name) => {
    const config = recipe(name, options);
    expect(config).toMatchObject({ recipe: name, dSae: 64, batchSize: 200, steps: 100 });
    expect(parseTrainConfig(JSON.parse(JSON.stringify(config)))).toEqual(config);
    expect(config.learningRateWarmup).toBeLessThanOrEqual(name.startsWith("gemma") ? 1000 : 5);
  });

  it("has a recipe for every architecture", () => {
    const covered = new Set(recipeNames.map((name) => recipe(name, options).architecture));
    expect([...covered].sort()).toEqual(trainingArchitectures.map(({ name }) => name));
  });

  it("converts the tanh penalty's published values, which are for inputs of norm sqrt(d_in)", () => {
    expect(recipe("jumprelu_tanh", { ...options, dIn: 400 })).toMatchObject({
      sparsity: 5 / 400,
      sparsityWarmup: 100,
      tanhScale: 80,
      bandwidth: 0.1,
      initialThreshold: 0.005,
      preActivationWeight: 3e-6 / 20,
    });
  });

  it("aims at an L0 where one is given, and makes transcoders", () => {
    expect(recipe("short-run", { dSae: 64, targetL0: 8 })).toMatchObject({
      penalty: "quadratic",
      targetL0: 8,
    });
    const transcoder = { dOut: 5, skip: true };
    expect(recipe("gated", { dSae: 64, transcoder }).transcoder).toEqual({
      dOut: 5,
      skip: true,
      targetScale: "input",
    });
    expect(() => recipe("matching_pursuit", { ...options, transcoder })).toThrow(
      /transcoder: matching_pursuit/u,
    );
  });

  it("spreads Matryoshka's prefixes over the latents, however few there are", () => {
    const widths = (dSae: number) => {
      const config = recipe("matryoshka_batchtopk", { dSae, k: 1 });
      return "widths" in config ? config.widths : [];
    };
    expect(widths(4096)).toEqual([128, 384, 896, 1920, 4096]);
    expect(widths(8)).toEqual([1, 2, 4, 8]);
    expect(widths(1)).toEqual([1]);
  });

  it("says what it needs", () => {
    for (const [name, field] of [
      ["jumprelu_tanh", "dIn"],
      ["crosscoder", "sites"],
      ["gemma-scope-2", "targetL0"],
    ] as const) {
      expect(() => recipe(name, { ...options, [field]: undefined })).toThrow(
        expect.objectContaining({
          code: "RECIPE_NEEDS_OPTION",
          message: expect.stringContaining(field) as string,
        }),
      );
    }
  });

  it("refuses what cannot be trained, naming the field", () => {
    const config = shortRunJumpRelu({ dSae: 8 });
    expect(() => parseTrainConfig({ ...config, learningRate: -1 })).toThrow(/learningRate/u);
    expect(() => parseTrainConfig({ ...config, initialThreshold: 0.001 })).toThrow(
      /initialThreshold.*bandwidth/su,
    );
    expect(() => topK({ dSae: 8, k: 9 })).toThrow(/k: 9 is more than the 8 latents/u);
    const refused = (change: object, message: RegExp): void => {
      expect(() => parseTrainConfig({ ...config, ...change })).toThrow(message);
    };
    refused({ penalty: "quadratic" }, /targetL0: the penalty "quadratic" needs one/u);
    refused({ targetL0: 2 }, /targetL0: 2, but the penalty "l0"/u);
    refused({ penalty: "relative", targetL0: 9 }, /targetL0: 9 is more than the 8/u);
    refused({ transcoder: { dOut: 0 } }, /transcoder\.dOut/u);
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
