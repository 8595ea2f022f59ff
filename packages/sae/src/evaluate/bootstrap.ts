import { Random } from "@latentkit/core";

/** A 95% interval. */
export type Interval = readonly [low: number, high: number];

/**
 * The 2.5% and 97.5% quantiles of a statistic over resamples of `units` with replacement: documents, since tokens of one
 * document are not independent. Null for fewer than two units.
 *
 * @param statistic of how often each unit was drawn
 */
export function bootstrapInterval(
  units: number,
  statistic: (draws: Uint32Array) => number,
  options: { readonly resamples: number; readonly seed: number },
): Interval | null {
  if (units < 2) return null;
  const random = new Random(options.seed, 0xb007);
  const values = new Float64Array(options.resamples);
  const draws = new Uint32Array(units);
  for (let resample = 0; resample < options.resamples; resample++) {
    draws.fill(0);
    for (let draw = 0; draw < units; draw++) {
      const unit = random.integer(units);
      draws[unit] = (draws[unit] ?? 0) + 1;
    }
    values[resample] = statistic(draws);
  }
  values.sort();
  return [quantile(values, 0.025), quantile(values, 0.975)];
}

/** A ratio of sums over units, for {@link bootstrapInterval}. */
export function ratioOf(
  numerators: ArrayLike<number>,
  denominators: ArrayLike<number>,
): (draws: Uint32Array) => number {
  return (draws) => {
    let above = 0;
    let below = 0;
    for (let unit = 0; unit < draws.length; unit++) {
      const times = draws[unit] ?? 0;
      above += times * (numerators[unit] ?? 0);
      below += times * (denominators[unit] ?? 0);
    }
    return above / below;
  };
}

/** By linear interpolation between order statistics, of sorted values. */
function quantile(sorted: Float64Array, share: number): number {
  const at = share * (sorted.length - 1);
  const below = sorted[Math.floor(at)] ?? Number.NaN;
  const above = sorted[Math.ceil(at)] ?? Number.NaN;
  return below + (at - Math.floor(at)) * (above - below);
}
