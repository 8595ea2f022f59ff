import { ConfigError } from "@latentkit/core";
import { recipeNames } from "./common-config.ts";
import {
  type JumpReluTrainConfig,
  parseTrainConfig,
  type TopKTrainConfig,
  type TrainConfig,
  type TrainConfigInput,
} from "./config.ts";
import { kindRecipes, type KindRecipeOptions, needed } from "./kind-recipes.ts";
import { deadAfter, narrow, type RecipeOptions, runOf } from "./recipe-run.ts";

/** Options of {@link topK}. */
export interface TopKRecipeOptions extends RecipeOptions {
  /** Latents active for each token. */
  readonly k: number;
}

/** Options of the JumpReLU recipes. */
export interface JumpReluRecipeOptions extends RecipeOptions {
  /** lambda; each recipe has a default. */
  readonly sparsity?: number | undefined;
  /** omega: penalises latents that fire on more than about this share of tokens, for example 0.1. None by default. */
  readonly frequencyScale?: number | undefined;
}

/** Options of {@link shortRunJumpRelu}. */
export interface ShortRunRecipeOptions extends JumpReluRecipeOptions {
  /** L0*: takes the penalty that aims at it, `"quadratic"`, instead of `"l0"`. */
  readonly targetL0?: number | undefined;
}

/**
 * `"gemma-scope"`: JumpReLU as published (2407.14435; 2408.05147, section 3.2): batch 4,096, Adam (0, 0.999), learning rate 7e-5
 * after 1,000 steps of cosine warm-up and no decay, lambda 6e-4 after 10,000 steps of linear warm-up, eps = theta0 = 0.001, log
 * theta, 4 billion tokens. It needs them: over thousands of steps log theta cannot move, and everything stays dense.
 */
export function paperJumpRelu(options: JumpReluRecipeOptions): JumpReluTrainConfig {
  const run = runOf(options, 4_000_000_000, 4096);
  return jumpRelu({
    ...run,
    recipe: "gemma-scope",
    architecture: "jumprelu",
    learningRate: 7e-5,
    learningRateWarmup: 1000,
    adam: { beta1: 0, beta2: 0.999, epsilon: 1e-8 },
    decoderBias: "zero",
    deadAfterTokens: 10_000_000,
    sparsity: options.sparsity ?? 6e-4,
    sparsityWarmup: 10_000,
    bandwidth: 0.001,
    initialThreshold: 0.001,
    thresholdForm: "log",
    frequencyScale: options.frequencyScale ?? null,
  });
}

/**
 * `"short-run"`: JumpReLU for millions of tokens instead of billions: batch 1,024, raw theta, learning rate 1e-3, eps = theta0 =
 * 0.02, lambda 1e-3, 2 million tokens. The warm-ups take a twentieth (learning rate) and a tenth (lambda) of the run, and the
 * learning rate falls to 0 over the last fifth. b_dec starts at the geometric median: from 0, as the
 * paper has it, 42 of 4,608 latents fired on over 95% of tokens after 400,000 presentations of a real model's layer 9; from the
 * median, none did. The decay makes the last fifth calmer than the training before it, which `stabilityOf` cannot see. What it
 * gives is an SAE of that many tokens: look at the held-out figures and `stabilityOf` before reading anything into single
 * latents.
 */
export function shortRunJumpRelu(options: ShortRunRecipeOptions): JumpReluTrainConfig {
  const run = runOf(options, 2_000_000, 1024);
  const { targetL0 } = options;
  return jumpRelu({
    ...run,
    recipe: "short-run",
    architecture: "jumprelu",
    learningRate: 1e-3,
    learningRateWarmup: Math.min(1000, Math.ceil(run.steps / 20)),
    learningRateDecay: 0.2,
    adam: { beta1: 0, beta2: 0.999, epsilon: 1e-8 },
    decoderBias: "geometric-median",
    deadAfterTokens: deadAfter(run),
    sparsity: options.sparsity ?? 1e-3,
    sparsityWarmup: Math.min(10_000, Math.ceil(run.steps / 10)),
    bandwidth: 0.02,
    initialThreshold: 0.02,
    thresholdForm: "raw",
    frequencyScale: options.frequencyScale ?? null,
    ...(targetL0 === undefined ? {} : { penalty: "quadratic", targetL0 }),
  });
}

/**
 * `"topk"`: TopK with AuxK (2406.04093): alpha 1/32, k_aux = d_in / 2, batch 1,024, Adam (0.9, 0.999, 6.25e-10), learning rate
 * `2e-4 / sqrt(d_sae / 2^14)` after a twentieth of warm-up and with decay over the last fifth, b_dec from the geometric median.
 * A latent is dead after 10 million silent tokens as published, or after a tenth of the run where that is less.
 */
export function topK(options: TopKRecipeOptions): TopKTrainConfig {
  const run = runOf(options, 2_000_000, 1024);
  const config = parseTrainConfig({
    ...run,
    recipe: "topk",
    architecture: "topk",
    learningRate: 2e-4 / Math.sqrt(options.dSae / 2 ** 14),
    learningRateWarmup: Math.min(1000, Math.ceil(run.steps / 20)),
    learningRateDecay: 0.2,
    adam: { beta1: 0.9, beta2: 0.999, epsilon: 6.25e-10 },
    decoderBias: "geometric-median",
    deadAfterTokens: deadAfter(run),
    k: options.k,
    auxiliaryWeight: 1 / 32,
  } satisfies TrainConfigInput);
  return narrow(config, "topk");
}

/**
 * A recipe by its name: those above, and one for each other architecture, with values from its paper or from SAELens, for inputs of unit
 * mean square norm (see the README's table). lambda, where it has no default that fits every site, is what to sweep.
 *
 * @throws ConfigError `RECIPE_UNKNOWN`; `RECIPE_NEEDS_K` and `RECIPE_NEEDS_OPTION` where an option without default is missing
 *
 * @example
 * const config = recipe("gated", { dSae: 4096, sparsity: 0.04 });
 */
export function recipe(name: string, options: KindRecipeOptions): TrainConfig {
  if (name === "gemma-scope") return paperJumpRelu(options);
  if (name === "short-run") return shortRunJumpRelu(options);
  if (name === "topk") return topK({ ...options, k: needed(options, name, "k") });
  const found = Object.entries(kindRecipes).find(([known]) => known === name)?.[1];
  if (found !== undefined) return parseTrainConfig(found(options));
  throw new ConfigError({
    code: "RECIPE_UNKNOWN",
    message: `there is no recipe "${name}"; there are ${recipeNames.join(", ")}`,
    fix: "give one of these names",
  });
}

function jumpRelu(config: TrainConfigInput): JumpReluTrainConfig {
  return narrow(parseTrainConfig(config), "jumprelu");
}
