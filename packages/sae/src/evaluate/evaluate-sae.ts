import type { ActivationStore } from "@latentkit/activations";
import {
  type LongCallOptions,
  MismatchError,
  throwIfAborted,
  yieldToEventLoop,
} from "@latentkit/core";
import type { Sae } from "../sae.ts";
import { checkWidth } from "../weights.ts";
import { bootstrapInterval, type Interval, ratioOf } from "./bootstrap.ts";
import { DocumentSums, type PerDocument } from "./document-sums.ts";
import {
  denseFraction,
  denseFractionInterval,
  firingGroups,
  type GroupedFiring,
  totalFiring,
} from "./firing-groups.ts";
import { type ReconstructedBlock, reconstructRows, VarianceSums } from "./rows.ts";
import { type EvaluationRows, type KeptRows, splitRows } from "./split-rows.ts";

/** How {@link evaluateSae} measures. */
export interface EvaluateSaeOptions extends LongCallOptions {
  /** Shards of a store to read; `"held-out"` by default. */
  readonly split?: "train" | "held-out" | undefined;
  /** Stop after about this many unmasked tokens. */
  readonly maximumTokens?: number | undefined;
  /** Bootstrap resamples over documents; 1,000 by default, 0 for no intervals. */
  readonly resamples?: number | undefined;
  readonly seed?: number | undefined;
}

/** The error at some context positions: `first` to `last`, both inclusive. */
export interface PositionError {
  readonly first: number;
  readonly last: number;
  /** Unmasked tokens there. */
  readonly tokens: number;
  /** E||x - x^||^2 there, over E||x - Ex||^2 of all tokens: the mean over positions, weighted by tokens, is the FVU. */
  readonly error: number;
  readonly interval: Interval | null;
}

/**
 * What {@link evaluateSae} measures. All over unmasked tokens but `fvuWithMasked`. Intervals are of 95%, by bootstrap over documents;
 * null where documents are not known, or fewer than two.
 */
export interface SaeMetrics {
  /** Unmasked tokens. */
  readonly tokens: number;
  /** Documents that they are from; 0 where that is not known. */
  readonly documents: number;
  /** Mean number of active latents. */
  readonly l0: number;
  readonly l0Interval: Interval | null;
  /** E||x - x^||^2 / E||x - Ex||^2, each averaged over all tokens first. */
  readonly fvu: number;
  readonly fvuInterval: Interval | null;
  /**
   * E(||x - x^||^2 / ||x - Ex||^2), a mean of ratios, Ex over each piece that was given (a shard, a batch): 1 minus what SAELens calls
   * `explained_variance_legacy`, as older papers report it. Tokens near the mean dominate it; compare with old numbers only.
   */
  readonly fvuLegacy: number;
  readonly fvuLegacyInterval: Interval | null;
  /** FVU over masked tokens too (padding left out): with attention sinks it is near 0 or near nothing, and says little. */
  readonly fvuWithMasked: number;
  /** E||x - x^||^2, summed over features. */
  readonly mse: number;
  readonly mseInterval: Interval | null;
  /** Share of latents that never fired. No interval: a resample of documents can only lose latents. */
  readonly deadFraction: number;
  /** Share of latents that fired on more than a tenth of the tokens: high-frequency ones. */
  readonly denseFraction: number;
  /** By bootstrap over 32 groups of documents. */
  readonly denseFractionInterval: Interval | null;
  /** Share of the tokens on which each latent fired, `[dSae]`. */
  readonly densities: Float32Array;
  /** gamma = E||x^||^2 / E(x . x^); below 1 the reconstruction is too small (2404.16014, equation 10). */
  readonly relativeReconstructionBias: number;
  readonly relativeReconstructionBiasInterval: Interval | null;
  /** E(||x^|| / ||x||). */
  readonly l2Ratio: number;
  readonly l2RatioInterval: Interval | null;
  /** E cos(x, x^). */
  readonly cosine: number;
  readonly cosineInterval: Interval | null;
  /** The error by context position, in ranges 0, 1, 2-3, 4-7, ...; empty where positions are not known. */
  readonly byPosition: readonly PositionError[];
  /** Mean of what was to be reconstructed, `[dOut]`, for mean ablation. */
  readonly mean: Float32Array;
}

/** Resamples of the dense fraction at most: each walks over all latents. */
const denseResamples = 200;

/**
 * Measures an SAE on activations, streaming: a shard is in memory at a time.
 *
 * @param source an opened folder of shards, or pieces of one's own; for a transcoder pieces with their targets
 * @throws MismatchError `SAE_WIDTH` for activations of another width, `EVALUATION_EMPTY` where every token is masked,
 *   `EVALUATION_TARGETS` for a transcoder without targets; ShapeError `SHAPE_ROWS`; AbortedError
 *
 * @example
 * const { l0, fvu } = await evaluateSae(sae, await openActivations("./activations"));
 */
export async function evaluateSae(
  sae: Sae,
  source: ActivationStore | AsyncIterable<EvaluationRows> | Iterable<EvaluationRows>,
  options: EvaluateSaeOptions = {},
): Promise<SaeMetrics> {
  const {
    split = "held-out",
    maximumTokens = Number.POSITIVE_INFINITY,
    resamples = 1000,
    seed = 0,
    signal,
    onProgress,
  } = options;
  const store = "readShard" in source ? source : null;
  if (store !== null) checkWidth(sae.config, store.dIn, `the activations in ${store.name}`);
  const total =
    store === null ? undefined : Math.min(store.manifest.counts.splits[split].kept, maximumTokens);
  const sums = new SaeSums(sae);
  for await (const piece of "readShard" in source ? shardRows(source, split, signal) : source) {
    throwIfAborted(signal);
    await sums.add(splitRows(piece, sae.config));
    onProgress?.({
      stage: "evaluate-sae",
      done: Math.min(sums.tokens, total ?? sums.tokens),
      total,
      unit: "tokens",
      figures: { l0: sums.active / Math.max(1, sums.tokens) },
    });
    await yieldToEventLoop();
    if (sums.tokens >= maximumTokens) break;
  }
  if (sums.tokens === 0) {
    throw new MismatchError({
      code: "EVALUATION_EMPTY",
      message: "there is no unmasked token to evaluate on",
      fix: "harvest more text, or a larger held-out share",
    });
  }
  return summary(sums, { resamples, seed });
}

/** The shards of one split, as {@link evaluateSae} reads them. */
async function* shardRows(
  store: ActivationStore,
  split: "train" | "held-out",
  signal: AbortSignal | undefined,
): AsyncGenerator<EvaluationRows, void, undefined> {
  for (const index of store.shards(split)) yield await store.readShard(index, { signal });
}

/** All sums of one evaluation. */
class SaeSums {
  readonly documents: DocumentSums;
  readonly masked: VarianceSums;
  readonly firing: GroupedFiring & { readonly tokens: number[] };
  tokens = 0;
  active = 0;
  maskedError = 0;
  readonly #sae: Sae;

  constructor(sae: Sae) {
    const { dSae } = sae.config;
    const { dOut } = sae;
    this.#sae = sae;
    this.documents = new DocumentSums(dOut);
    this.masked = new VarianceSums(dOut);
    this.firing = {
      dSae,
      counts: Array.from({ length: firingGroups }, () => new Int32Array(dSae)),
      tokens: Array.from({ length: firingGroups }, () => 0),
    };
  }

  /** Takes the rows of one piece. */
  async add({ kept, other }: ReturnType<typeof splitRows>): Promise<void> {
    const { dOut } = this.#sae;
    const rows = kept.targets.length / dOut;
    const groups = Int32Array.from(
      { length: rows },
      (_, row) => (kept.documents?.[row] ?? 0) % firingGroups,
    );
    for (const group of groups) this.firing.tokens[group] = (this.firing.tokens[group] ?? 0) + 1;
    const mean = meanRow(kept.targets, dOut);
    const tally = { groups, counts: this.firing.counts };
    for await (const block of reconstructRows(this.#sae, kept.activations, tally))
      this.#addTokens(kept, block, mean);
    for await (const { start, reconstruction } of reconstructRows(
      this.#sae,
      other.activations,
      null,
    )) {
      for (let index = 0; index < reconstruction.length; index++)
        this.maskedError +=
          ((reconstruction[index] ?? 0) - (other.targets[start * dOut + index] ?? 0)) ** 2;
    }
    this.masked.add(kept.targets);
    this.masked.add(other.targets);
  }

  #addTokens(kept: KeptRows, block: ReconstructedBlock, mean: Float64Array): void {
    const { start, end, reconstruction, l0 } = block;
    const dOut = mean.length;
    for (let row = start; row < end; row++) {
      const x = kept.targets.subarray(row * dOut, (row + 1) * dOut);
      const from = (row - start) * dOut;
      let [error, input, output, product, spread] = [0, 0, 0, 0, 0];
      for (let column = 0; column < dOut; column++) {
        const value = x[column] ?? 0;
        const decoded = reconstruction[from + column] ?? 0;
        error += (value - decoded) ** 2;
        input += value * value;
        output += decoded * decoded;
        product += value * decoded;
        spread += (value - (mean[column] ?? 0)) ** 2;
      }
      const active = l0[row - start] ?? 0;
      this.tokens += 1;
      this.active += active;
      this.documents.add(kept.documents?.[row] ?? null, kept.positions?.[row] ?? null, x, {
        active,
        squaredError: error,
        squaredOutput: output,
        product,
        // A token of norm 0 has neither ratio nor angle; it counts as 0 in both.
        l2Ratio: input > 0 ? Math.sqrt(output / input) : 0,
        cosine: input > 0 && output > 0 ? product / Math.sqrt(input * output) : 0,
        // A lone token is its own mean: there is nothing to explain.
        legacyRatio: error === 0 ? 0 : error / spread,
      });
    }
  }
}

function meanRow(activations: Float32Array, dIn: number): Float64Array {
  const mean = new Float64Array(dIn);
  const rows = activations.length / dIn;
  for (let index = 0; index < activations.length; index++)
    mean[index % dIn] = (mean[index % dIn] ?? 0) + (activations[index] ?? 0) / rows;
  return mean;
}

function summary(
  sae: SaeSums,
  options: { readonly resamples: number; readonly seed: number },
): SaeMetrics {
  const perDocument = sae.documents.finish();
  const { count, sums, totals, variance, totalVariance, mean } = perDocument;
  const { tokens } = totals;
  const { dSae } = sae.firing;
  const firing = totalFiring(sae.firing);
  const interval = (above: ArrayLike<number>, below: ArrayLike<number>): Interval | null =>
    options.resamples === 0 ? null : bootstrapInterval(count, ratioOf(above, below), options);
  return {
    tokens,
    documents: count,
    l0: totals.active / tokens,
    l0Interval: interval(sums.active, sums.tokens),
    fvu: totals.squaredError / totalVariance,
    fvuInterval: interval(sums.squaredError, variance),
    fvuLegacy: totals.legacyRatio / tokens,
    fvuLegacyInterval: interval(sums.legacyRatio, sums.tokens),
    fvuWithMasked: (totals.squaredError + sae.maskedError) / sae.masked.total(),
    mse: totals.squaredError / tokens,
    mseInterval: interval(sums.squaredError, sums.tokens),
    deadFraction: firing.reduce((dead, fired) => dead + (fired === 0 ? 1 : 0), 0) / dSae,
    denseFraction: denseFraction(firing, tokens),
    denseFractionInterval:
      count < 2 || options.resamples === 0
        ? null
        : denseFractionInterval(sae.firing, {
            ...options,
            resamples: Math.min(denseResamples, options.resamples),
          }),
    densities: Float32Array.from(firing, (fired) => fired / tokens),
    relativeReconstructionBias: totals.squaredOutput / totals.product,
    relativeReconstructionBiasInterval: interval(sums.squaredOutput, sums.product),
    l2Ratio: totals.l2Ratio / tokens,
    l2RatioInterval: interval(sums.l2Ratio, sums.tokens),
    cosine: totals.cosine / tokens,
    cosineInterval: interval(sums.cosine, sums.tokens),
    byPosition: positionErrors(perDocument, options),
    mean,
  };
}

function positionErrors(
  { count, sums, totals, variance, totalVariance, positions }: PerDocument,
  options: { readonly resamples: number; readonly seed: number },
): PositionError[] {
  return positions.map(({ first, last, tokens, squaredError }) => {
    const seen = tokens.reduce((sum, value) => sum + value, 0);
    const error = squaredError.reduce((sum, value) => sum + value, 0);
    const atPositions = ratioOf(squaredError, tokens);
    const overall = ratioOf(variance, sums.tokens);
    const interval =
      options.resamples === 0
        ? null
        : bootstrapInterval(count, (draws) => atPositions(draws) / overall(draws), options);
    // A resample without any document that reaches these positions says nothing of them.
    const known = interval !== null && interval.every(Number.isFinite);
    return {
      first,
      last,
      tokens: seen,
      error: error / seen / (totalVariance / totals.tokens),
      interval: known ? interval : null,
    };
  });
}
