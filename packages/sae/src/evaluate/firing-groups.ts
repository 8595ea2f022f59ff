import { bootstrapInterval, type Interval } from "./bootstrap.ts";

/** Documents share this many counts, by remainder: counts of each document would not fit. */
export const firingGroups = 32;

/** Above this share of the tokens a latent is dense; Gemma Scope (2408.05147, 4.3) says high-frequency. */
const denseAbove = 0.1;

/** How often each latent fired in each group of documents. */
export interface GroupedFiring {
  readonly dSae: number;
  /** `[groups][dSae]`. */
  readonly counts: readonly Int32Array[];
  /** Tokens of each group. */
  readonly tokens: readonly number[];
}

/** Firing counts over all groups, `[dSae]`. */
export function totalFiring({ dSae, counts }: GroupedFiring): Float64Array {
  return weightedFiring(dSae, counts, () => 1);
}

/** Share of latents that fire on more than a tenth of the tokens. */
export function denseFraction(firing: Float64Array, tokens: number): number {
  let dense = 0;
  for (const count of firing) dense += count > denseAbove * tokens ? 1 : 0;
  return dense / firing.length;
}

/** The bootstrap interval of {@link denseFraction} over groups of documents; null for fewer than two. */
export function denseFractionInterval(
  { dSae, counts, tokens }: GroupedFiring,
  options: { readonly resamples: number; readonly seed: number },
): Interval | null {
  const groups = [...tokens.keys()].filter((group) => (tokens[group] ?? 0) > 0);
  const members = groups.map((group) => counts[group] ?? new Int32Array(dSae));
  return bootstrapInterval(
    groups.length,
    (draws) => {
      let drawn = 0;
      for (const [at, group] of groups.entries()) drawn += (draws[at] ?? 0) * (tokens[group] ?? 0);
      return denseFraction(
        weightedFiring(dSae, members, (at) => draws[at] ?? 0),
        drawn,
      );
    },
    options,
  );
}

function weightedFiring(
  dSae: number,
  counts: readonly Int32Array[],
  weight: (group: number) => number,
): Float64Array {
  const sum = new Float64Array(dSae);
  for (const [group, firing] of counts.entries()) {
    const times = weight(group);
    if (times === 0) continue;
    for (let latent = 0; latent < dSae; latent++)
      sum[latent] = (sum[latent] ?? 0) + times * (firing[latent] ?? 0);
  }
  return sum;
}
