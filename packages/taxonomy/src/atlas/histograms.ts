import type { AtlasResult } from "../atlas-result.ts";
import { regularizedBeta } from "../beta.ts";
import { median } from "../statistics.ts";

const binsPerDecade = 4;

/** Latents by log10 density, four bins a decade, so that 0.1 is an edge. Dead latents are in none. */
export function densityBins(
  densities: ArrayLike<number>,
): { low: number; high: number; count: number }[] {
  const places = Array.from(densities)
    .filter((density) => density > 0)
    .map((density) => Math.min(-1, Math.floor(Math.log10(density) * binsPerDecade + 1e-9)));
  if (places.length === 0) return [];
  const first = places.reduce((least, place) => Math.min(least, place), -1);
  const counts = new Map<number, number>();
  for (const place of places) counts.set(place, (counts.get(place) ?? 0) + 1);
  return Array.from({ length: -first }, (_, index) => {
    const place = first + index;
    return {
      low: place / binsPerDecade,
      high: (place + 1) / binsPerDecade,
      count: counts.get(place) ?? 0,
    };
  });
}

/** Median score by log10 density, two bins a decade. */
export function scoresByDensity(
  points: readonly { readonly density: number; readonly score: number }[],
): AtlasResult["antipodality"]["byDensity"] {
  const groups = new Map<number, number[]>();
  for (const { density, score } of points) {
    if (!(density > 0)) continue;
    const place = Math.min(-1, Math.floor(Math.log10(density) * 2 + 1e-9));
    groups.set(place, [...(groups.get(place) ?? []), score]);
  }
  return [...groups]
    .sort(([a], [b]) => a - b)
    .map(([place, scores]) => ({
      low: place / 2,
      high: (place + 1) / 2,
      latents: scores.length,
      median: median(scores),
    }));
}

/** Null-space shares of dense and other latents beside the closed form for random directions. */
export function nullspaceBins(
  dense: readonly number[],
  sparse: readonly number[],
  k: number,
  d: number,
  cut: number,
): AtlasResult["nullspace"]["histogram"] {
  const largest = [...dense, ...sparse].reduce((most, share) => Math.max(most, share), cut * 1.1);
  const bins = 36;
  const width = Math.min(1, largest * 1.0001) / bins;
  const countIn = (shares: readonly number[], bin: number): number =>
    shares.reduce(
      (sum, share) => sum + (Math.min(bins - 1, Math.floor(share / width)) === bin ? 1 : 0),
      0,
    );
  const below = (share: number): number =>
    k >= d ? Number(share >= 1) : regularizedBeta(Math.min(1, share * share), k / 2, (d - k) / 2);
  return Array.from({ length: bins }, (_, bin) => ({
    low: bin * width,
    high: (bin + 1) * width,
    dense: countIn(dense, bin),
    sparse: countIn(sparse, bin),
    expected: below((bin + 1) * width) - below(bin * width),
  }));
}
