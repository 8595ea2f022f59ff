import type { Interval } from "@latentkit/sae";
import { claimsOf } from "./claims.ts";
import type { Comparison } from "./config.ts";
import {
  type AdjustedDifference,
  type ArchitectureDifference,
  comparedMetrics,
  type ComparedMetric,
  type ComparedPoint,
  type ComparedRow,
  type ComparisonResult,
  type NullOfLabels,
} from "./result.ts";
import { commonRange, type CurvePoint, spacedLevels, valueAtL0 } from "./statistics/at-equal-l0.ts";
import { holm } from "./statistics/holm.ts";
import { labelPermutation } from "./statistics/label-permutation.ts";
import { meanOf, type PairedDifference, pairedDifference } from "./statistics/paired-difference.ts";

/** Resamples of seeds, and draws of labels. */
const draws = 10_000;

/** What rows come to: points of the figure, differences at equal L0, the null, and what the paper claims. Pure. */
export function compareRows(
  comparison: Pick<Comparison, "architectures" | "levels" | "seed" | "seeds" | "subject">,
  rows: readonly ComparedRow[],
): Pick<ComparisonResult, "claims" | "differences" | "nulls" | "points"> {
  const { architectures, subject } = comparison;
  const others = architectures.map(({ name }) => name).filter((name) => name !== subject);
  const differences = adjusted(others.map((other) => differencesTo(comparison, rows, other)));
  return {
    points: pointsOf(comparison, rows),
    differences,
    nulls: comparedMetrics.flatMap((metric) => nullOf(comparison, rows, metric) ?? []),
    claims: claimsOf(comparison, differences),
  };
}

/** The curve of an architecture and seed. */
function curveOf(
  rows: readonly ComparedRow[],
  architecture: string,
  seed: number,
  metric: ComparedMetric,
): CurvePoint[] {
  return rows
    .filter((row) => row.architecture === architecture && row.seed === seed)
    .map((row) => ({ l0: row.l0, value: row[metric] }));
}

/** Seeds that every one of the architectures has at two L0s or more, and the L0s that all their curves reach. */
function sharedBy(
  rows: readonly ComparedRow[],
  names: readonly string[],
  seeds: readonly number[],
): { readonly seeds: readonly number[]; readonly range: Interval | null } {
  const shared = seeds.filter((seed) =>
    names.every((name) => new Set(curveOf(rows, name, seed, "fvu").map(({ l0 }) => l0)).size >= 2),
  );
  const curves = shared.flatMap((seed) => names.map((name) => curveOf(rows, name, seed, "fvu")));
  return { seeds: shared, range: commonRange(curves) };
}

interface RawDifference extends Omit<ArchitectureDifference, "metrics"> {
  readonly metrics: readonly {
    readonly metric: ComparedMetric;
    readonly overall: PairedDifference;
    readonly levels: readonly (PairedDifference & { readonly l0: number })[];
  }[];
}

function differencesTo(
  { subject, seeds: wanted, levels: count, seed }: Parameters<typeof compareRows>[0],
  rows: readonly ComparedRow[],
  other: string,
): RawDifference {
  const { seeds, range } = sharedBy(rows, [subject, other], wanted);
  if (range === null) return { other, seeds, range, metrics: [] };
  const levels = spacedLevels(range, count);
  const options = { seed, resamples: draws };
  const metrics = comparedMetrics.map((metric) => {
    // [levels][seeds]
    const found = levels.map((l0) =>
      seeds.map((one) => {
        const at = (name: string): number =>
          valueAtL0(curveOf(rows, name, one, metric), l0) ?? Number.NaN;
        return at(subject) - at(other);
      }),
    );
    const bySeed = seeds.map((_, place) => meanOf(found.map((own) => own[place] ?? Number.NaN)));
    return {
      metric,
      overall: pairedDifference(bySeed, options),
      levels: found.map((own, index) => ({
        l0: levels[index] ?? Number.NaN,
        ...pairedDifference(own, options),
      })),
    };
  });
  return { other, seeds, range, metrics };
}

/** Holm's method over the main tests, and over those at single L0s. */
function adjusted(raw: readonly RawDifference[]): ArchitectureDifference[] {
  const metrics = raw.flatMap((one) => one.metrics);
  const main = holm(metrics.map(({ overall }) => overall.p));
  const single = holm(metrics.flatMap(({ levels }) => levels.map(({ p }) => p)));
  let [mainAt, singleAt] = [0, 0];
  return raw.map((one) => ({
    ...one,
    metrics: one.metrics.map(({ metric, overall, levels }) => {
      const withP: AdjustedDifference = { ...overall, holmP: main[mainAt++] ?? null };
      return {
        metric,
        overall: withP,
        levels: levels.map((level) => ({ ...level, holmP: single[singleAt++] ?? null })),
      };
    }),
  }));
}

function nullOf(
  { architectures, subject, seeds: wanted, levels: count, seed }: Parameters<typeof compareRows>[0],
  rows: readonly ComparedRow[],
  metric: ComparedMetric,
): NullOfLabels | null {
  const names = architectures.map(({ name }) => name);
  const { seeds, range } = sharedBy(rows, names, wanted);
  if (range === null) return null;
  const levels = spacedLevels(range, count);
  const values = seeds.map((one) =>
    names.map((name) => {
      const curve = curveOf(rows, name, one, metric);
      return meanOf(levels.map((l0) => valueAtL0(curve, l0) ?? Number.NaN));
    }),
  );
  const found = labelPermutation(values, names.indexOf(subject), { draws, seed });
  return { metric, range, seeds: seeds.length, ...found };
}

function pointsOf(
  { architectures, seed }: Parameters<typeof compareRows>[0],
  rows: readonly ComparedRow[],
): ComparedPoint[] {
  return architectures.flatMap(({ name, sparsity = [], k = [] }) =>
    [...sparsity, ...k].flatMap((setting): ComparedPoint[] => {
      const own = rows.filter(
        (row) => row.architecture === name && (row.k ?? row.sparsity) === setting,
      );
      const [first] = own;
      if (first === undefined) return [];
      // Student's distribution knows no bounds: a share of 1.1 would only puzzle.
      const summary = (
        values: readonly number[],
        least: number,
        most = Number.POSITIVE_INFINITY,
      ) => {
        const { mean, interval } = pairedDifference(values, { seed, resamples: 1 });
        const within = (end: number): number => Math.min(most, Math.max(least, end));
        const cut =
          interval === null ? null : ([within(interval[0]), within(interval[1])] as const);
        return { mean, interval: cut };
      };
      const l0 = summary(
        own.map((row) => row.l0),
        0,
      );
      const of = (metric: ComparedMetric, least: number, most?: number) =>
        summary(
          own.map((row) => row[metric]),
          least,
          most,
        );
      return [
        {
          architecture: name,
          sparsity: first.sparsity,
          k: first.k,
          seeds: own.length,
          l0: l0.mean,
          l0Interval: l0.interval,
          metrics: {
            deltaLoss: of("deltaLoss", Number.NEGATIVE_INFINITY),
            fvu: of("fvu", 0),
            dense: of("dense", 0, 1),
          },
          dead: meanOf(own.map(({ dead }) => dead)),
        },
      ];
    }),
  );
}
