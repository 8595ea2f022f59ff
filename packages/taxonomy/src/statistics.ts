import { Random } from "@latentkit/core";

/** A share with its interval. */
export interface Interval {
  readonly value: number;
  readonly low: number;
  readonly high: number;
}

/**
 * Wilson's score interval of a proportion, which behaves at 0 and 1. It treats trials as independent: for tokens of one
 * document they are not, so prefer {@link bootstrapRatio} where counts by document are at hand.
 *
 * @param z standard normal quantile; 1.96 gives 95%
 */
export function wilsonInterval(successes: number, trials: number, z = 1.959964): Interval {
  if (trials === 0) return { value: 0, low: 0, high: 1 };
  const share = successes / trials;
  const shrink = 1 + (z * z) / trials;
  const centre = (share + (z * z) / (2 * trials)) / shrink;
  const half =
    (z / shrink) * Math.sqrt((share * (1 - share)) / trials + (z * z) / (4 * trials * trials));
  return {
    value: share,
    low: successes === 0 ? 0 : Math.max(0, centre - half),
    high: successes === trials ? 1 : Math.min(1, centre + half),
  };
}

/** Options of {@link bootstrapRatio}. */
export interface BootstrapOptions {
  readonly seed: number;
  /** Separates uses of one seed. */
  readonly stream?: number | undefined;
  /** Resamples; default 1000. */
  readonly resamples?: number | undefined;
  /** Two-sided confidence; default 0.95. */
  readonly confidence?: number | undefined;
}

/**
 * sum(numerators) / sum(denominators) with a percentile interval from resampling the entries, for example documents: tokens of
 * one document are alike, so the document is the unit that is drawn again.
 */
export function bootstrapRatio(
  numerators: ArrayLike<number>,
  denominators: ArrayLike<number>,
  options: BootstrapOptions,
): Interval {
  const size = numerators.length;
  const ratio = (draw: (index: number) => number): number => {
    let [top, bottom] = [0, 0];
    for (let index = 0; index < size; index++) {
      const pick = draw(index);
      top += numerators[pick] ?? 0;
      bottom += denominators[pick] ?? 0;
    }
    return bottom === 0 ? 0 : top / bottom;
  };
  const value = ratio((index) => index);
  if (size < 2) return { value, low: value, high: value };
  const random = new Random(options.seed, options.stream ?? 0);
  const samples = new Float64Array(options.resamples ?? 1000);
  for (let sample = 0; sample < samples.length; sample++)
    samples[sample] = ratio(() => random.integer(size));
  samples.sort();
  const tail = (1 - (options.confidence ?? 0.95)) / 2;
  return { value, low: quantileOfSorted(samples, tail), high: quantileOfSorted(samples, 1 - tail) };
}

/** Linear interpolation between order statistics, as NumPy's default. NaN when empty. */
export function quantileOfSorted(sorted: ArrayLike<number>, probability: number): number {
  if (sorted.length === 0) return Number.NaN;
  const place = probability * (sorted.length - 1);
  const below = sorted[Math.floor(place)] ?? Number.NaN;
  const above = sorted[Math.ceil(place)] ?? Number.NaN;
  return below + (above - below) * (place - Math.floor(place));
}

/** Median; NaN when empty. */
export function median(values: ArrayLike<number>): number {
  return quantileOfSorted(Float64Array.from(values).sort(), 0.5);
}
