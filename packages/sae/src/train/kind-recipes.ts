import { ConfigError } from "@latentkit/core";
import type { RecipeName } from "./common-config.ts";
import type { TrainConfigInput } from "./config.ts";
import type { CrosscoderSite } from "./crosscoder-config.ts";
import { deadAfter, type RecipeOptions, type Run, runOf, warmupOf } from "./recipe-run.ts";

/** Options of all recipes; each takes those that its kind has. */
export interface KindRecipeOptions extends RecipeOptions {
  /** lambda. */
  readonly sparsity?: number | undefined;
  /** Latents active for each token, or on average. */
  readonly k?: number | undefined;
  /** L0*: for JumpReLU with a target. */
  readonly targetL0?: number | undefined;
  /** omega: for JumpReLU with a penalty on latents that fire often. */
  readonly frequencyScale?: number | undefined;
  /** Width of the activations, for recipes whose published values are for inputs of norm sqrt(d_in). */
  readonly dIn?: number | undefined;
  /** Widths of Matryoshka's prefixes; 1/32, 3/32, 7/32, 15/32 and all of the latents by default, as in dictionary_learning. */
  readonly widths?: readonly number[] | undefined;
  /** A crosscoder's sites. */
  readonly sites?: readonly CrosscoderSite[] | undefined;
}

type KindRecipe = (options: KindRecipeOptions) => TrainConfigInput;
type KindRecipeName = Exclude<RecipeName, "gemma-scope" | "short-run" | "topk">;

const adam = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 };

/** The common part: 2 million tokens by 2,048, learning rate 3e-4 after a warm-up, decay over the last fifth (SAEBench's suite). */
function common(options: KindRecipeOptions, recipe: KindRecipeName) {
  const run = runOf(options, 2_000_000, 2048);
  return {
    ...run,
    recipe,
    learningRate: 3e-4,
    learningRateWarmup: warmupOf(run, 1 / 20, 1000),
    learningRateDecay: 0.2,
    adam,
    decoderBias: "geometric-median",
    deadAfterTokens: deadAfter(run),
  } as const;
}

/** lambda, and its warm-up over 5,000 steps or a tenth of the run. */
function penalty(options: KindRecipeOptions, run: Run, sparsity: number) {
  return {
    sparsity: options.sparsity ?? sparsity,
    sparsityWarmup: warmupOf(run, 1 / 10, 5000),
  };
}

/** AuxK and the learning rate of the TopK family (2406.04093). */
function topKFamily(options: KindRecipeOptions, recipe: KindRecipeName) {
  return {
    ...common(options, recipe),
    k: needed(options, recipe, "k"),
    learningRate: 2e-4 / Math.sqrt(options.dSae / 2 ** 14),
    adam: { ...adam, epsilon: 6.25e-10 },
    auxiliaryWeight: 1 / 32,
  };
}

/** The recipes of the kinds beside JumpReLU and TopK. */
export const kindRecipes: Readonly<Record<KindRecipeName, KindRecipe>> = {
  abstopk: (options) => ({ ...topKFamily(options, "abstopk"), architecture: "abstopk" }),
  "april-2024": (options) => {
    const run = common(options, "april-2024");
    return {
      ...run,
      ...penalty(options, run, 0.03),
      architecture: "standard",
      decoderNorm: "free",
      gradientClip: 1,
    };
  },
  batchtopk: (options) => ({ ...topKFamily(options, "batchtopk"), architecture: "batchtopk" }),
  batchtopk_crosscoder: (options) => {
    const sites = needed(options, "batchtopk_crosscoder", "sites");
    return {
      ...topKFamily(options, "batchtopk_crosscoder"),
      learningRate: 1e-4,
      architecture: "batchtopk_crosscoder",
      sites,
    };
  },
  crosscoder: (options) => {
    const run = common(options, "crosscoder");
    const sites = needed(options, "crosscoder", "sites");
    return {
      ...run,
      ...penalty(options, run, 0.04),
      decoderBias: "zero",
      architecture: "crosscoder",
      sites,
      gradientClip: 1,
    };
  },
  gated: (options) => {
    const run = common(options, "gated");
    return {
      ...run,
      ...penalty(options, run, 0.04),
      adam: { ...adam, beta1: 0 },
      architecture: "gated",
    };
  },
  "gemma-scope-2": (options) => {
    const run = runOf(options, 4_000_000_000, 4096);
    return {
      ...run,
      recipe: "gemma-scope-2",
      architecture: "jumprelu",
      learningRate: 7e-5,
      learningRateWarmup: 1000,
      adam: { ...adam, beta1: 0 },
      decoderBias: "zero",
      deadAfterTokens: 10_000_000,
      sparsity: options.sparsity ?? 6e-4,
      sparsityWarmup: 50_000,
      bandwidth: 0.001,
      initialThreshold: 0.001,
      thresholdForm: "log",
      penalty: "quadratic",
      frequencyScale: options.frequencyScale ?? null,
      targetL0: needed(options, "gemma-scope-2", "targetL0"),
    };
  },
  jumprelu_tanh: (options) => {
    const run = common(options, "jumprelu_tanh");
    const root = Math.sqrt(needed(options, "jumprelu_tanh", "dIn"));
    return {
      ...run,
      architecture: "jumprelu_tanh",
      sparsity: options.sparsity ?? 5 / root ** 2,
      sparsityWarmup: run.steps,
      tanhScale: 4 * root,
      bandwidth: 2 / root,
      initialThreshold: 0.1 / root,
      thresholdForm: "raw",
      preActivationWeight: 3e-6 / root,
      gradientClip: 1,
    };
  },
  matching_pursuit: (options) => ({
    ...common(options, "matching_pursuit"),
    architecture: "matching_pursuit",
    maxIterations: needed(options, "matching_pursuit", "k"),
  }),
  matryoshka_batchtopk: (options) => {
    const { dSae } = options;
    const widths =
      options.widths ??
      // Narrow SAEs have no room for all five.
      [1, 3, 7, 15, 32].map((part) => Math.round((part * dSae) / 32)).filter(isNew);
    return {
      ...topKFamily(options, "matryoshka_batchtopk"),
      architecture: "matryoshka_batchtopk",
      widths,
    };
  },
  p_anneal: (options) => {
    const run = common(options, "p_anneal");
    // Not before all of lambda is there, and done before the decay.
    const start = warmupOf(run, 1 / 10, 10_000);
    const end = Math.max(start, Math.floor(0.8 * run.steps));
    return {
      ...run,
      ...penalty(options, run, 0.015),
      architecture: "p_anneal",
      annealStart: start,
      annealEnd: end,
      anneals: Math.min(10, end - start + 1),
    };
  },
  standard: (options) => {
    const run = common(options, "standard");
    return {
      ...run,
      ...penalty(options, run, 0.03),
      architecture: "standard",
      decoderNorm: "unit",
    };
  },
};

function isNew(width: number, at: number, all: readonly number[]): boolean {
  return width > (all[at - 1] ?? 0);
}

/** An option that a recipe has no default for. Throws {@link ConfigError} `RECIPE_NEEDS_K`, or `RECIPE_NEEDS_OPTION` for another one. */
export function needed<Name extends "dIn" | "k" | "sites" | "targetL0">(
  options: KindRecipeOptions,
  recipe: string,
  name: Name,
): NonNullable<KindRecipeOptions[Name]> {
  const value = options[name];
  if (value !== undefined) return value;
  const fix: Readonly<Record<"dIn" | "k" | "sites" | "targetL0", string>> = {
    dIn: "give dIn, the width of the activations, which its published values depend on",
    k: "give k, for example 64",
    sites: "give sites, the name and width of each in the order of the stream's columns",
    targetL0: "give targetL0, for example 60",
  };
  if (name === "k") {
    throw new ConfigError({
      code: "RECIPE_NEEDS_K",
      message: `the recipe "${recipe}" was given no k`,
      fix: fix.k,
    });
  }
  throw new ConfigError({
    code: "RECIPE_NEEDS_OPTION",
    message: `the recipe "${recipe}" was given no ${name}`,
    fix: fix[name],
  });
}
