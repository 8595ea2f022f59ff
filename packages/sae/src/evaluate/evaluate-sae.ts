import { type ActivationStore, maskReasons } from "@latentkit/activations";
import {
  type LongCallOptions,
  MismatchError,
  ShapeError,
  throwIfAborted,
  yieldToEventLoop,
} from "@latentkit/core";
import type { Sae } from "../sae.ts";
import { checkWidth } from "../weights.ts";
import { bootstrapInterval, type Interval, ratioOf } from "./bootstrap.ts";
import { DocumentSums } from "./document-sums.ts";
import { reconstructRows, VarianceSums } from "./rows.ts";

/** Activations to evaluate on, a piece at a time. */
export interface EvaluationRows {
  /** Raw, `[n, dIn]`. */
  readonly activations: Float32Array;
  /** One of `maskReasons` for each row; without it no row is masked. */
  readonly masks?: ArrayLike<number> | undefined;
  /** The document of each row, for intervals; without it there are none. */
  readonly documents?: ArrayLike<number> | undefined;
}

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

/** What {@link evaluateSae} measures. All over unmasked tokens but `fvuWithMasked`. */
export interface SaeMetrics {
  /** Unmasked tokens. */
  readonly tokens: number;
  /** Documents that they are from; 0 where that is not known. */
  readonly documents: number;
  /** Mean number of active latents. */
  readonly l0: number;
  /** 95%, by bootstrap over documents; null where documents are not known, or fewer than two. */
  readonly l0Interval: Interval | null;
  /** E||x - x^||^2 / E||x - Ex||^2, each averaged over all tokens first. */
  readonly fvu: number;
  readonly fvuInterval: Interval | null;
  /** FVU over masked tokens too (padding left out): with attention sinks it is near 0 or near nothing, and says little. */
  readonly fvuWithMasked: number;
  /** Share of latents that never fired. */
  readonly deadFraction: number;
  /** Share of latents that fired on more than a tenth of the tokens. */
  readonly denseFraction: number;
  /** Share of the tokens on which each latent fired, `[dSae]`. */
  readonly densities: Float32Array;
  /** gamma = E||x^||^2 / E(x . x^); below 1 the reconstruction is too small. */
  readonly relativeReconstructionBias: number;
  /** E(||x^|| / ||x||). */
  readonly l2Ratio: number;
  /** E cos(x, x^). */
  readonly cosine: number;
  /** Mean activation, `[dIn]`, for mean ablation. */
  readonly mean: Float32Array;
}

/** Above this share of the tokens a latent is dense. */
const denseAbove = 0.1;

/**
 * Measures an SAE on activations, streaming: a shard is in memory at a time.
 *
 * @param source an opened folder of shards, or pieces of one's own
 * @throws MismatchError `SAE_WIDTH` for activations of another width, `EVALUATION_EMPTY` where every token is masked
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
  const { dIn, dSae } = sae.config;
  const store = "readShard" in source ? source : null;
  if (store !== null) checkWidth(sae.config, store.dIn, `the activations in ${store.name}`);
  const total =
    store === null ? undefined : Math.min(store.manifest.counts.splits[split].kept, maximumTokens);
  const documents = new DocumentSums(dIn);
  const masked = new VarianceSums(dIn);
  const firing = new Int32Array(dSae);
  const sums = {
    tokens: 0,
    squaredError: 0,
    maskedError: 0,
    active: 0,
    squaredOutput: 0,
    product: 0,
    ratio: 0,
    cosine: 0,
  };
  for await (const piece of "readShard" in source ? shardRows(source, split, signal) : source) {
    throwIfAborted(signal);
    const { kept, other } = splitRows(piece, dIn);
    for await (const block of reconstructRows(sae, kept.activations, firing)) {
      addTokens(sums, documents, kept, block, dIn);
    }
    for await (const { start, reconstruction } of reconstructRows(sae, other, null)) {
      for (let index = 0; index < reconstruction.length; index++)
        sums.maskedError += ((reconstruction[index] ?? 0) - (other[start * dIn + index] ?? 0)) ** 2;
    }
    masked.add(kept.activations);
    masked.add(other);
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
  const { tokens } = sums;
  if (tokens === 0) {
    throw new MismatchError({
      code: "EVALUATION_EMPTY",
      message: "there is no unmasked token to evaluate on",
      fix: "harvest more text, or a larger held-out share",
    });
  }
  const perDocument = documents.finish();
  const interval = (above: ArrayLike<number>, below: ArrayLike<number>): Interval | null =>
    resamples === 0
      ? null
      : bootstrapInterval(perDocument.count, ratioOf(above, below), { resamples, seed });
  return {
    tokens,
    documents: perDocument.count,
    l0: sums.active / tokens,
    l0Interval: interval(perDocument.active, perDocument.tokens),
    fvu: sums.squaredError / perDocument.totalVariance,
    fvuInterval: interval(perDocument.squaredError, perDocument.variance),
    fvuWithMasked: (sums.squaredError + sums.maskedError) / masked.total(),
    deadFraction: firing.reduce((dead, count) => dead + (count === 0 ? 1 : 0), 0) / dSae,
    denseFraction:
      firing.reduce((dense, count) => dense + (count > denseAbove * tokens ? 1 : 0), 0) / dSae,
    densities: Float32Array.from(firing, (count) => count / tokens),
    relativeReconstructionBias: sums.squaredOutput / sums.product,
    l2Ratio: sums.ratio / tokens,
    cosine: sums.cosine / tokens,
    mean: perDocument.mean,
  };
}

/** The shards of one split, as {@link evaluateSae} reads them. */
async function* shardRows(
  store: ActivationStore,
  split: "train" | "held-out",
  signal: AbortSignal | undefined,
): AsyncGenerator<EvaluationRows, void, undefined> {
  for (const index of store.shards(split)) yield await store.readShard(index, { signal });
}

interface KeptRows {
  readonly activations: Float32Array;
  /** The document of each kept row; null where that is not known. */
  readonly documents: Int32Array | null;
}

/** Unmasked rows, and masked ones that are not padding. */
function splitRows(
  piece: EvaluationRows,
  dIn: number,
): { readonly kept: KeptRows; readonly other: Float32Array } {
  const { activations, masks, documents } = piece;
  const rows = activations.length / dIn;
  if (
    !Number.isInteger(rows) ||
    (masks !== undefined && masks.length !== rows) ||
    (documents !== undefined && documents.length !== rows)
  ) {
    throw new ShapeError({
      code: "SHAPE_ROWS",
      message: `${activations.length} numbers, ${masks?.length ?? "no"} masks and ${documents?.length ?? "no"} documents do not go with rows of width ${dIn}`,
      fix: "give whole rows, with one mask and one document for each",
    });
  }
  const [keep, other]: [number[], number[]] = [[], []];
  for (let row = 0; row < rows; row++) {
    const reason = masks?.[row] ?? maskReasons.keep;
    if (reason === maskReasons.keep) keep.push(row);
    else if (reason !== maskReasons.padding) other.push(row);
  }
  const gather = (picked: readonly number[]): Float32Array => {
    if (picked.length === rows) return activations;
    const result = new Float32Array(picked.length * dIn);
    for (const [at, row] of picked.entries())
      result.set(activations.subarray(row * dIn, (row + 1) * dIn), at * dIn);
    return result;
  };
  return {
    kept: {
      activations: gather(keep),
      documents:
        documents === undefined ? null : Int32Array.from(keep, (row) => documents[row] ?? 0),
    },
    other: gather(other),
  };
}

type Sums = Record<
  "active" | "cosine" | "product" | "ratio" | "squaredError" | "squaredOutput" | "tokens",
  number
>;

function addTokens(
  sums: Sums,
  documents: DocumentSums,
  kept: KeptRows,
  block: {
    readonly start: number;
    readonly end: number;
    readonly reconstruction: Float32Array;
    readonly l0: Float32Array;
  },
  dIn: number,
): void {
  const { start, end, reconstruction, l0 } = block;
  for (let row = start; row < end; row++) {
    const x = kept.activations.subarray(row * dIn, (row + 1) * dIn);
    const from = (row - start) * dIn;
    let [error, input, output, product] = [0, 0, 0, 0];
    for (let column = 0; column < dIn; column++) {
      const value = x[column] ?? 0;
      const decoded = reconstruction[from + column] ?? 0;
      error += (value - decoded) ** 2;
      input += value * value;
      output += decoded * decoded;
      product += value * decoded;
    }
    const active = l0[row - start] ?? 0;
    sums.tokens += 1;
    sums.squaredError += error;
    sums.active += active;
    sums.squaredOutput += output;
    sums.product += product;
    // A token of norm 0 has neither ratio nor angle; it counts as 0 in both.
    if (input > 0) sums.ratio += Math.sqrt(output / input);
    if (input > 0 && output > 0) sums.cosine += product / Math.sqrt(input * output);
    documents.add(kept.documents?.[row] ?? null, x, error, active);
  }
}
