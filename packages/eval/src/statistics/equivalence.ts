import { ConfigError } from "@latentkit/core";
import { studentCumulative, studentQuantile } from "./student-t.ts";
import type { Interval } from "./wilson.ts";

/** What {@link equivalence} asks. */
export interface EquivalenceOptions {
  /** Largest difference that counts as none. State it before looking at the values. */
  readonly margin: number;
  /** The value that the mean should be equivalent to; 0 by default. */
  readonly center?: number | undefined;
  /** Chance of calling what is not equivalent so; 0.05 by default. */
  readonly alpha?: number | undefined;
}

/** What {@link equivalence} finds. */
export interface Equivalence {
  readonly n: number;
  readonly mean: number;
  /** Of the mean, at the level 1 - 2 alpha: equivalence at alpha is this interval lying within the margin. */
  readonly interval: Interval;
  readonly margin: number;
  readonly center: number;
  /** The larger of the two one-sided p-values. */
  readonly p: number;
  readonly equivalent: boolean;
}

/**
 * Two one-sided t-tests (Schuirmann, 1987): whether a mean is within `margin` of `center`. A test that finds no difference shows
 * nothing about there being none; this one does. Values must be independent: give means of clusters, not their members.
 *
 * @throws ConfigError `STATISTIC_INPUT` for fewer than two values, values that are not finite, or a margin that is not above 0
 */
export function equivalence(
  values: ArrayLike<number>,
  { margin, center = 0, alpha = 0.05 }: EquivalenceOptions,
): Equivalence {
  const n = values.length;
  const given = Array.from(values);
  if (n < 2 || !(margin > 0) || !(alpha > 0 && alpha < 0.5) || !given.every(Number.isFinite)) {
    throw new ConfigError({
      code: "STATISTIC_INPUT",
      message: `equivalence was asked of ${n} values with a margin of ${margin} at alpha ${alpha}`,
      fix: "give at least two finite values, a margin above 0 and an alpha below 0.5",
    });
  }
  const mean = given.reduce((sum, value) => sum + value, 0) / n;
  const variance = given.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (n - 1);
  const error = Math.sqrt(variance / n);
  const half = studentQuantile(1 - alpha, n - 1) * error;
  const interval: Interval = [mean - half, mean + half];
  const distance = margin - Math.abs(mean - center);
  // The nearer bound decides; without any spread the mean itself does.
  const p = error === 0 ? (distance > 0 ? 0 : 1) : 1 - studentCumulative(distance / error, n - 1);
  return { n, mean, interval, margin, center, p, equivalent: p < alpha };
}
