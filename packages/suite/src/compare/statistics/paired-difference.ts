import { bootstrapMean, studentCumulative, studentQuantile } from "@latentkit/eval";
import type { Interval } from "@latentkit/sae";

/** What differences of pairs, one a seed, say. */
export interface PairedDifference {
  /** Pairs. */
  readonly n: number;
  readonly mean: number;
  /** 95%, by Student's distribution with n - 1 degrees of freedom; null for fewer than two pairs. */
  readonly interval: Interval | null;
  /** 95%, by percentile bootstrap over pairs: narrow for few pairs, given beside the other. Null for fewer than two. */
  readonly bootstrap: Interval | null;
  /** Two-sided, of the t-test that the mean is 0; null for fewer than two pairs. */
  readonly p: number | null;
  /**
   * Two-sided, of the null that the two labels of each pair are exchangeable: the share of all 2^n swaps whose mean is as far from 0. It
   * assumes nothing of the distribution, and cannot be below 2^(1 - n). Null for fewer than two pairs, or more than 16.
   */
  readonly swapP: number | null;
}

/** Pairs up to which all swaps are counted. */
const mostSwapped = 16;

/**
 * The mean of paired differences, its intervals and tests.
 *
 * @param differences finite, one a pair; at least one
 */
export function pairedDifference(
  differences: readonly number[],
  options: { readonly seed: number; readonly resamples: number },
): PairedDifference {
  const n = differences.length;
  const mean = meanOf(differences);
  if (n < 2) return { n, mean, interval: null, bootstrap: null, p: null, swapP: null };
  const squares = differences.reduce((sum, difference) => sum + (difference - mean) ** 2, 0);
  const error = Math.sqrt(squares / (n - 1) / n);
  const half = studentQuantile(0.975, n - 1) * error;
  // Differences without any spread: the mean is certain, and either it is 0 or it is not.
  const t = error === 0 ? (mean === 0 ? 0 : Number.POSITIVE_INFINITY) : Math.abs(mean) / error;
  return {
    n,
    mean,
    interval: [mean - half, mean + half],
    bootstrap: bootstrapMean(differences, options),
    p: 2 * (1 - studentCumulative(t, n - 1)),
    swapP: n > mostSwapped ? null : swapP(differences),
  };
}

function swapP(differences: readonly number[]): number {
  const total = Math.abs(differences.reduce((sum, difference) => sum + difference, 0));
  const size = differences.reduce((sum, difference) => sum + Math.abs(difference), 0);
  let far = 0;
  const swaps = 2 ** differences.length;
  for (let swap = 0; swap < swaps; swap++) {
    const sum = differences.reduce(
      (running, difference, place) => running + ((swap >> place) & 1 ? -difference : difference),
      0,
    );
    // The same sum in another order of signs may round otherwise.
    if (Math.abs(sum) >= total - 1e-12 * size) far += 1;
  }
  return far / swaps;
}

/** The mean; NaN of nothing. */
export function meanOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
