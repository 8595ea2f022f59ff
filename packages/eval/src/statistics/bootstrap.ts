import { ConfigError, Random } from "@latentkit/core";
import type { Interval } from "./wilson.ts";

/** How a bootstrap draws. */
export interface BootstrapOptions {
  readonly seed: number;
  /** 1,000 by default. */
  readonly resamples?: number | undefined;
  /** Chance that the interval covers the truth; 0.95 by default. */
  readonly level?: number | undefined;
}

/** Options of {@link bootstrapMean}. */
export interface BootstrapMeanOptions extends BootstrapOptions {
  /** The document, question or game that each value is of; values of one cluster are drawn together. Each its own by default. */
  readonly clusters?: ArrayLike<number | string> | undefined;
}

/**
 * The percentile interval of a mean over resamples of clusters with replacement: values of one document depend on each other, so
 * documents are drawn and not values. Clusters count by their number of values. Null for fewer than two clusters.
 *
 * @throws ConfigError `STATISTIC_INPUT` for values that are not finite, or as many clusters as values are not given
 */
export function bootstrapMean(
  values: ArrayLike<number>,
  options: BootstrapMeanOptions,
): Interval | null {
  const { clusters } = options;
  if (clusters !== undefined && clusters.length !== values.length)
    throw invalid(`${clusters.length} clusters were given for ${values.length} values`);
  const places = new Map<number | string, number>();
  const sums: number[] = [];
  const counts: number[] = [];
  for (let index = 0; index < values.length; index++) {
    const value = values[index] ?? Number.NaN;
    if (!Number.isFinite(value)) throw invalid(`value ${index} is ${value}`);
    const name = clusters?.[index] ?? index;
    const place = places.get(name) ?? places.size;
    places.set(name, place);
    sums[place] = (sums[place] ?? 0) + value;
    counts[place] = (counts[place] ?? 0) + 1;
  }
  return bootstrapInterval(
    sums.length,
    (draws) => {
      let [above, below] = [0, 0];
      for (let place = 0; place < draws.length; place++) {
        const times = draws[place] ?? 0;
        above += times * (sums[place] ?? 0);
        below += times * (counts[place] ?? 0);
      }
      return above / below;
    },
    options,
  );
}

/**
 * The percentile interval of any statistic over resamples of `units` with replacement. Null for fewer than two units.
 *
 * @param statistic of how often each unit was drawn
 * @throws ConfigError `STATISTIC_INPUT` for options out of range
 */
export function bootstrapInterval(
  units: number,
  statistic: (draws: Uint32Array) => number,
  { seed, resamples = 1_000, level = 0.95 }: BootstrapOptions,
): Interval | null {
  if (!(Number.isInteger(resamples) && resamples >= 1 && level > 0 && level < 1))
    throw invalid(`${resamples} resamples and a level of ${level} were asked for`);
  if (units < 2) return null;
  const random = new Random(seed, 0xb007);
  const found = new Float64Array(resamples);
  const draws = new Uint32Array(units);
  for (let resample = 0; resample < resamples; resample++) {
    draws.fill(0);
    for (let draw = 0; draw < units; draw++) {
      const unit = random.integer(units);
      draws[unit] = (draws[unit] ?? 0) + 1;
    }
    found[resample] = statistic(draws);
  }
  found.sort();
  return [quantile(found, (1 - level) / 2), quantile(found, (1 + level) / 2)];
}

/** A quantile of sorted values, by linear interpolation between order statistics (NumPy's default). */
export function quantile(sorted: ArrayLike<number>, share: number): number {
  const at = share * (sorted.length - 1);
  const below = sorted[Math.floor(at)] ?? Number.NaN;
  const above = sorted[Math.ceil(at)] ?? Number.NaN;
  return below + (at - Math.floor(at)) * (above - below);
}

function invalid(message: string): ConfigError {
  return new ConfigError({
    code: "STATISTIC_INPUT",
    message,
    fix: "give finite values, one cluster a value, at least one resample and a level between 0 and 1",
  });
}
