import type { Interval } from "@latentkit/sae";

/** What an SAE has at its L0. */
export interface CurvePoint {
  /** Mean number of active latents, above 0. */
  readonly l0: number;
  readonly value: number;
}

/**
 * The value of a curve of SAEs at an L0: linear in log L0 between the two that enclose it. SAEs of one L0 count as one, by their mean.
 *
 * @returns null outside of the curve: nothing is extrapolated
 */
export function valueAtL0(points: readonly CurvePoint[], l0: number): number | null {
  const curve = curveOf(points);
  for (const [index, high] of curve.entries()) {
    if (high.l0 === l0) return high.value;
    const low = curve[index - 1];
    if (low === undefined || low.l0 >= l0 || high.l0 < l0) continue;
    const share = Math.log(l0 / low.l0) / Math.log(high.l0 / low.l0);
    return low.value + share * (high.value - low.value);
  }
  return null;
}

/** The L0s that every curve reaches, from the largest of their smallest to the smallest of their largest; null where there are none. */
export function commonRange(curves: readonly (readonly CurvePoint[])[]): Interval | null {
  if (curves.length === 0) return null;
  const ends = curves.map((points) => {
    const curve = curveOf(points);
    return [curve[0]?.l0 ?? Number.NaN, curve.at(-1)?.l0 ?? Number.NaN] as const;
  });
  const low = Math.max(...ends.map(([first]) => first));
  const high = Math.min(...ends.map(([, last]) => last));
  return low < high ? [low, high] : null;
}

/** `count` L0s from one end of a range to the other, equally far from each other in log L0. Both ends are among them, exactly. */
export function spacedLevels([low, high]: Interval, count: number): number[] {
  return Array.from({ length: count }, (_, index) => {
    if (index === 0) return low;
    if (index === count - 1) return high;
    return low * (high / low) ** (index / (count - 1));
  });
}

/** Points by ascending L0, each L0 once. Points without a logarithm are left out. */
function curveOf(points: readonly CurvePoint[]): CurvePoint[] {
  const byL0 = new Map<number, number[]>();
  for (const { l0, value } of points) {
    if (!(l0 > 0 && Number.isFinite(l0) && Number.isFinite(value))) continue;
    byL0.set(l0, [...(byL0.get(l0) ?? []), value]);
  }
  return [...byL0]
    .map(([l0, values]) => ({
      l0,
      value: values.reduce((sum, value) => sum + value, 0) / values.length,
    }))
    .toSorted((a, b) => a.l0 - b.l0);
}
