import { Random } from "@latentkit/core";
import { meanOf } from "./paired-difference.ts";

/** What {@link labelPermutation} finds. */
export interface LabelPermutation {
  /** Mean over seeds of the subject's value less the mean of the others'. */
  readonly statistic: number;
  /** Two-sided: (1 + draws that are as far from 0) / (1 + draws). */
  readonly p: number;
  readonly draws: number;
  /** 2.5% and 97.5% quantiles of the statistic under the null. */
  readonly null: readonly [low: number, high: number];
}

/**
 * The null that the architectures' labels mean nothing: within each seed the values are given to the architectures in random order, and
 * the subject is compared with the mean of the others again. Seeds stay apart, so what a seed does to all of them is no evidence.
 *
 * @param values `[seeds][architectures]`, each with as many, at least two, all finite
 * @param subject which of the architectures
 */
export function labelPermutation(
  values: readonly (readonly number[])[],
  subject: number,
  { draws, seed }: { readonly draws: number; readonly seed: number },
): LabelPermutation {
  const random = new Random(seed, 0x1abe1);
  // Less the mean of all of them, the others' mean is the subject's value over -(count - 1).
  const scaled = values.map((row) => {
    const mean = meanOf(row);
    return row.map((value) => ((value - mean) * row.length) / (row.length - 1));
  });
  const statistic = meanOf(scaled.map((row) => row[subject] ?? Number.NaN));
  const size = Math.max(...scaled.flat().map(Math.abs));
  const found = new Float64Array(draws);
  let far = 0;
  for (let draw = 0; draw < draws; draw++) {
    let sum = 0;
    // All orders of a row are equally likely, so any of its values is as likely to be the subject's.
    for (const row of scaled) sum += row[random.integer(row.length)] ?? 0;
    const value = sum / scaled.length;
    found[draw] = value;
    if (Math.abs(value) >= Math.abs(statistic) - 1e-12 * size) far += 1;
  }
  found.sort();
  const at = (share: number): number => found[Math.round(share * (draws - 1))] ?? Number.NaN;
  return { statistic, p: (1 + far) / (1 + draws), draws, null: [at(0.025), at(0.975)] };
}
