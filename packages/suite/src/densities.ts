/** How often latents fire: a histogram over log10 of their densities. */
export interface DensityHistogram {
  /** Edges of the bins, log10 of the share of tokens, ascending; one more than there are bins. */
  readonly edges: readonly number[];
  /** Latents in each bin; the first also has what is below its edge. Those that never fired are in none. */
  readonly counts: readonly number[];
  /** Latents that never fired. */
  readonly dead: number;
}

const lowest = -6;
const binsPerDecade = 4;

/** The histogram of `densities`, shares of tokens in [0, 1], in quarter decades from 1e-6 to 1. */
export function densityHistogram(densities: ArrayLike<number>): DensityHistogram {
  const bins = -lowest * binsPerDecade;
  const edges = Array.from({ length: bins + 1 }, (_, index) => lowest + index / binsPerDecade);
  const counts = Array.from({ length: bins }, () => 0);
  let dead = 0;
  for (let latent = 0; latent < densities.length; latent++) {
    const density = densities[latent] ?? 0;
    if (density <= 0) {
      dead += 1;
      continue;
    }
    const bin = Math.floor((Math.log10(density) - lowest) * binsPerDecade);
    const place = Math.min(bins - 1, Math.max(0, bin));
    counts[place] = (counts[place] ?? 0) + 1;
  }
  return { edges, counts, dead };
}
