import { ConfigError, type LongCallOptions } from "@latentkit/core";
import type { Tokenizer } from "@latentkit/loaders";
import type { LanguageModel } from "@latentkit/models";
import type { Sae } from "@latentkit/sae";
import { z } from "zod";
import type { LatentExamples, LatentWindow } from "../gather/example-collector.ts";
import type { GatheredExamples } from "../gather/gather-examples.ts";
import { type DirectLogits, directLogits } from "./direct-logits.ts";
import { quantileGroups } from "./quantile-groups.ts";

const numbers = z.array(z.number());
const strings = z.array(z.string());

const activation = z.object({
  bin_min: z.number(),
  bin_max: z.number(),
  bin_contains: z.number(),
  tokens: strings,
  values: numbers,
  qualifying_token_index: z.int(),
});

const feature = z.object({
  feature_index: z.int(),
  neuron_alignment_indices: numbers,
  neuron_alignment_values: numbers,
  neuron_alignment_l1: numbers,
  correlated_neurons_indices: numbers,
  correlated_neurons_l1: numbers,
  correlated_neurons_pearson: numbers,
  correlated_features_indices: numbers,
  correlated_features_l1: numbers,
  correlated_features_pearson: numbers,
  neg_str: strings,
  neg_values: numbers,
  pos_str: strings,
  pos_values: numbers,
  frac_nonzero: z.number(),
  freq_hist_data_bar_values: numbers,
  freq_hist_data_bar_heights: numbers,
  logits_hist_data_bar_heights: numbers,
  logits_hist_data_bar_values: numbers,
  n_prompts_total: z.int(),
  n_tokens_in_prompt: z.int(),
  dataset: z.string(),
  decoder_weights_dist: numbers,
  activations: z.array(activation),
  vector: numbers,
});

/** A batch file as SAEDashboard 0.8 writes it for Neuronpedia. */
export const neuronpediaBatchSchema: z.ZodType<NeuronpediaBatch> = z.object({
  model_id: z.string(),
  layer: z.int(),
  sae_set: z.string(),
  sae_id_suffix: z.string().nullable(),
  features: z.array(feature),
});

/** One window of a latent: `values` beside `tokens`; `bin_min` and `bin_contains` -1 for one of the strongest. */
export type NeuronpediaActivation = z.infer<typeof activation>;

/** One latent's dashboard. Lists of correlated neurons and features are empty: they need a pass over pairs. */
export type NeuronpediaFeature = z.infer<typeof feature>;

/** Dashboards of latents of one SAE. */
export interface NeuronpediaBatch {
  readonly model_id: string;
  readonly layer: number;
  readonly sae_set: string;
  readonly sae_id_suffix: string | null;
  readonly features: NeuronpediaFeature[];
}

/** What {@link neuronpediaBatch} is made of. */
export interface NeuronpediaOptions extends LongCallOptions {
  readonly model: LanguageModel;
  readonly sae: Sae;
  readonly examples: GatheredExamples;
  /** Some of those that were gathered; all by default. */
  readonly latents?: readonly number[] | undefined;
  /** As Neuronpedia calls the model, for example `gemma-2-2b`; the model's name by default. */
  readonly modelId?: string | undefined;
  /** Source set, for example `res-16k`; the site's name by default. */
  readonly saeSet?: string | undefined;
  readonly saeIdSuffix?: string | undefined;
  /** Name of the text. */
  readonly dataset?: string | undefined;
  /** Groups of weaker windows, and windows in each; 5 and 5 by default, as SAEDashboard has them. */
  readonly quantiles?: number | undefined;
  readonly quantileWindows?: number | undefined;
  readonly seed?: number | undefined;
}

/**
 * The data of latents' dashboards in the shape of Neuronpedia's batch files, as SAEDashboard writes them: strongest windows and
 * windows by strength with their tokens, the tokens that the decoder row pushes most, densities and histograms.
 *
 * Prompts are windows of the gathering: `n_prompts_total` of `n_tokens_in_prompt`. The activation histogram has as many bins as the
 * gathering kept (32 to 64), from 0 to the maximum; SAEDashboard's has 50.
 *
 * @throws ConfigError `DASHBOARD_LATENT` for a latent that was not gathered, `TOKENIZER_MISSING`; MismatchError; AbortedError
 */
export async function neuronpediaBatch(options: NeuronpediaOptions): Promise<NeuronpediaBatch> {
  const { model, sae, examples, signal, onProgress } = options;
  const latents = options.latents ?? [...examples.latents.keys()];
  const tokenizer = requireTokenizer(model);
  const logits = await directLogits(model, sae, latents, { signal, onProgress });
  const { decoder } = await sae.weights();
  const width = decoder.length / sae.config.dSae;
  return {
    model_id: options.modelId ?? model.name,
    layer: model.site(examples.header.site).layer ?? 0,
    sae_set: options.saeSet ?? examples.header.site,
    sae_id_suffix: options.saeIdSuffix ?? null,
    features: latents.map((latent) => {
      const found = examples.latents.get(latent);
      if (found === undefined) throw notGathered(latent, examples);
      const row = decoder.subarray(latent * width, (latent + 1) * width);
      return featureOf(found, row, logits?.get(latent) ?? null, tokenizer, options);
    }),
  };
}

function featureOf(
  found: LatentExamples,
  vector: Float32Array,
  logits: DirectLogits | null,
  tokenizer: Tokenizer,
  options: NeuronpediaOptions,
): NeuronpediaFeature {
  const { examples, dataset = "", quantiles = 5, quantileWindows = 5, seed = 0 } = options;
  const alignment = alignmentOf(vector);
  const groups = quantileGroups(found, examples.tokens, {
    groups: quantiles,
    size: quantileWindows,
    seed,
  });
  const shown = (window: LatentWindow, low: number, high: number, share: number) =>
    activationOf(window, tokenizer, [low, high, share]);
  return {
    feature_index: found.latent,
    ...alignment,
    correlated_neurons_indices: [],
    correlated_neurons_l1: [],
    correlated_neurons_pearson: [],
    correlated_features_indices: [],
    correlated_features_l1: [],
    correlated_features_pearson: [],
    neg_str: (logits?.negative ?? []).map(({ token }) => tokenizer.tokenText(token)),
    neg_values: (logits?.negative ?? []).map(({ value }) => round(value)),
    pos_str: (logits?.positive ?? []).map(({ token }) => tokenizer.tokenText(token)),
    pos_values: (logits?.positive ?? []).map(({ value }) => round(value)),
    frac_nonzero: found.firedTokens / Math.max(1, examples.tokens),
    freq_hist_data_bar_values: found.histogram.values.map(round),
    freq_hist_data_bar_heights: [...found.histogram.heights],
    logits_hist_data_bar_heights: [...(logits?.histogram.heights ?? [])],
    logits_hist_data_bar_values: (logits?.histogram.values ?? []).map(round),
    n_prompts_total: examples.windows,
    n_tokens_in_prompt: examples.header.plan.windowTokens,
    dataset,
    decoder_weights_dist: [],
    activations: [
      ...found.top.map((window) => shown(window, -1, round(found.maximum), -1)),
      ...groups.flatMap(({ low, high, share, windows }) =>
        windows.map((window) => shown(window, round(low), round(high), share)),
      ),
    ],
    vector: [],
  };
}

function activationOf(
  window: LatentWindow,
  tokenizer: Tokenizer,
  [low, high, share]: readonly [number, number, number],
): NeuronpediaActivation {
  const peak = window.values.indexOf(window.maximum);
  return {
    bin_min: low,
    bin_max: high,
    bin_contains: share,
    tokens: Array.from(window.tokens, (token) => tokenizer.tokenText(token)),
    values: Array.from(window.values, round),
    qualifying_token_index: Math.max(0, peak),
  };
}

/** The three coordinates of the decoder row that are furthest from 0, with their share of its L1 norm. */
function alignmentOf(
  vector: Float32Array,
): Pick<
  NeuronpediaFeature,
  "neuron_alignment_indices" | "neuron_alignment_l1" | "neuron_alignment_values"
> {
  const size = (index: number): number => Math.abs(vector[index] ?? 0);
  const total = vector.reduce((sum, value) => sum + Math.abs(value), 0);
  const indices = [...vector.keys()].toSorted((a, b) => size(b) - size(a) || a - b).slice(0, 3);
  return {
    neuron_alignment_indices: indices,
    neuron_alignment_values: indices.map((index) => round(vector[index] ?? 0)),
    neuron_alignment_l1: indices.map((index) => round(total > 0 ? size(index) / total : 0)),
  };
}

/** Three decimals, as SAEDashboard rounds. */
function round(value: number): number {
  return Math.round(value * 1000) / 1000;
}

/**
 * A model's tokenizer, without which there is no text.
 *
 * @throws ConfigError `TOKENIZER_MISSING`
 */
function requireTokenizer(model: LanguageModel): Tokenizer {
  if (model.tokenizer !== null) return model.tokenizer;
  throw new ConfigError({
    code: "TOKENIZER_MISSING",
    message: `the model ${model.name} has no tokenizer, and examples are text`,
    fix: "put tokenizer.json beside the weights",
    where: model.name,
  });
}

function notGathered(latent: number, examples: GatheredExamples): ConfigError {
  return new ConfigError({
    code: "DASHBOARD_LATENT",
    message: `latent ${latent} is not among the ${examples.latents.size} that were gathered`,
    fix: "gather examples of it, or leave it out",
  });
}
