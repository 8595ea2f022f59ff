import { ConfigError } from "@latentkit/core";

/** The ends of a confidence interval. */
export type Interval = readonly [low: number, high: number];

/** 97.5% quantile of the standard normal distribution. */
const z95 = 1.959963984540054;

/**
 * Wilson's interval of a share (1927): the shares p for which `successes` of `trials` is within z standard errors of p. It stays
 * within 0 and 1, and is of use at 0 and at all successes, where the normal approximation is not.
 *
 * @param z quantile of the normal distribution; that of 95% by default
 * @throws ConfigError `STATISTIC_INPUT` unless 0 <= successes <= trials and trials >= 1
 */
export function wilson(successes: number, trials: number, z: number = z95): Interval {
  if (!(trials >= 1 && successes >= 0 && successes <= trials && z > 0)) {
    throw new ConfigError({
      code: "STATISTIC_INPUT",
      message: `a share of ${successes} in ${trials} with z = ${z} has no interval`,
      fix: "give at least one trial, successes from 0 to their number, and z above 0",
    });
  }
  const share = successes / trials;
  const square = z * z;
  const centre = share + square / (2 * trials);
  const half = z * Math.sqrt((share * (1 - share)) / trials + square / (4 * trials * trials));
  const low = (centre - half) / (1 + square / trials);
  const high = (centre + half) / (1 + square / trials);
  // Exact at the ends, where rounding would leave 1e-17.
  return [successes === 0 ? 0 : Math.max(0, low), successes === trials ? 1 : Math.min(1, high)];
}
