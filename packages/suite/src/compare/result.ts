import { FormatError } from "@latentkit/core";
import type { Interval } from "@latentkit/sae";
import { z } from "zod";
import type { Choice } from "./choose.ts";
import type { LabelPermutation } from "./statistics/label-permutation.ts";
import type { PairedDifference } from "./statistics/paired-difference.ts";

/** What architectures are compared by, at equal L0; less of each is better. */
export const comparedMetrics = ["deltaLoss", "fvu", "dense"] as const;

/**
 * `deltaLoss`: nats a token that the language model loses with reconstructions in place of activations. `fvu`: E||x - x^||^2 / E||x - Ex||^2.
 * `dense`: share of latents that fire on more than a tenth of the tokens.
 */
export type ComparedMetric = (typeof comparedMetrics)[number];

/** What was measured of an SAE of a comparison, on held-out text. */
export interface ComparedRow extends Readonly<Record<ComparedMetric, number>> {
  readonly architecture: string;
  readonly seed: number;
  /** lambda; null where there is a k. */
  readonly sparsity: number | null;
  readonly k: number | null;
  readonly learningRate: number;
  readonly l0: number;
  /** Share of latents that never fired. */
  readonly dead: number;
}

/** A difference with the p-value of its t-test, adjusted by Holm's method over all tests of its kind in the comparison. */
export interface AdjustedDifference extends PairedDifference {
  readonly holmP: number | null;
}

/** {@link AdjustedDifference} at one L0. */
export interface LevelDifference extends AdjustedDifference {
  readonly l0: number;
}

/** The subject less another architecture in one metric, at equal L0, paired by seed. */
export interface MetricDifference {
  readonly metric: ComparedMetric;
  /** Of each seed's mean over the levels: the comparison's main tests. */
  readonly overall: AdjustedDifference;
  readonly levels: readonly LevelDifference[];
}

/** The subject beside another architecture. */
export interface ArchitectureDifference {
  readonly other: string;
  /** Seeds that both have at two L0s or more. */
  readonly seeds: readonly number[];
  /** The L0s that every curve of both reaches; null where there are none, and nothing is compared. */
  readonly range: Interval | null;
  readonly metrics: readonly MetricDifference[];
}

/** The null of exchangeable labels, all architectures at once, over the L0s that all of them reach. */
export interface NullOfLabels extends LabelPermutation {
  readonly metric: ComparedMetric;
  readonly range: Interval;
  readonly seeds: number;
}

/** SAEs of one architecture and sparsity over seeds: a point of the figure. */
export interface ComparedPoint {
  readonly architecture: string;
  readonly sparsity: number | null;
  readonly k: number | null;
  readonly seeds: number;
  /** Means over seeds with 95% intervals by Student's distribution, within what the figure can be; null for a single seed. */
  readonly l0: number;
  readonly l0Interval: Interval | null;
  readonly metrics: Readonly<
    Record<ComparedMetric, { readonly mean: number; readonly interval: Interval | null }>
  >;
  readonly dead: number;
}

/** What a claim of the paper came to at this scale. */
export interface ClaimOutcome {
  /** The claim, in the paper's sense. */
  readonly claim: string;
  readonly other: string;
  readonly metric: ComparedMetric;
  /**
   * `"holds"` and `"reversed"`: the main test, Holm-adjusted, is below 0.05 and the sign is as claimed, or the other. `"not compared"`: there
   * is no L0 that both reach. `"undecided"`: all else.
   */
  readonly verdict: "holds" | "not compared" | "reversed" | "undecided";
  /** The numbers in a sentence. */
  readonly finding: string;
}

/** `compare.json`. */
export interface ComparisonResult {
  readonly schemaVersion: 1;
  readonly name: string;
  readonly model: {
    readonly name: string;
    readonly architecture: string;
    readonly weightsHash: string;
  };
  readonly site: string;
  readonly width: number;
  /** Activations that each SAE was trained on. */
  readonly presentations: number;
  readonly subject: string;
  /** SAEs that there are to be; there are fewer rows until all are done. */
  readonly planned: number;
  /** SAEs whose training was given up. */
  readonly failed: readonly { readonly id: string; readonly code: string }[];
  readonly choices: readonly Choice[];
  readonly points: readonly ComparedPoint[];
  readonly differences: readonly ArchitectureDifference[];
  readonly nulls: readonly NullOfLabels[];
  readonly claims: readonly ClaimOutcome[];
  readonly rows: readonly ComparedRow[];
}

const count = z.int().nonnegative();
const number = z.number();
const interval: z.ZodType<Interval> = z.tuple([number, number]).readonly();
const metric = z.enum(comparedMetrics);
const setting = { sparsity: number.nullable(), k: number.nullable() };

/** Schema of {@link ComparedRow}. */
export const comparedRowSchema: z.ZodType<ComparedRow> = z.object({
  architecture: z.string(),
  seed: count,
  ...setting,
  learningRate: number,
  l0: number.nonnegative(),
  fvu: number,
  deltaLoss: number,
  dense: number,
  dead: number,
});

const difference = {
  n: count,
  mean: number,
  interval: interval.nullable(),
  bootstrap: interval.nullable(),
  p: number.nullable(),
  swapP: number.nullable(),
  holmP: number.nullable(),
};
const summary = z.object({ mean: number, interval: interval.nullable() });

/** Schema of {@link ComparisonResult}. */
export const comparisonResultSchema: z.ZodType<ComparisonResult> = z.object({
  schemaVersion: z.literal(1),
  name: z.string(),
  model: z.object({ name: z.string(), architecture: z.string(), weightsHash: z.string() }),
  site: z.string(),
  width: count,
  presentations: count,
  subject: z.string(),
  planned: count,
  failed: z.array(z.object({ id: z.string(), code: z.string() })),
  choices: z.array(
    z.object({
      architecture: z.string(),
      factor: number,
      learningRate: number,
      tuned: z.boolean(),
      atEdge: z.boolean(),
      tried: z.array(z.object({ factor: number, learningRate: number, fvu: number.nullable() })),
    }),
  ),
  points: z.array(
    z.object({
      architecture: z.string(),
      ...setting,
      seeds: count,
      l0: number,
      l0Interval: interval.nullable(),
      metrics: z.object({ deltaLoss: summary, fvu: summary, dense: summary }),
      dead: number,
    }),
  ),
  differences: z.array(
    z.object({
      other: z.string(),
      seeds: z.array(count),
      range: interval.nullable(),
      metrics: z.array(
        z.object({
          metric,
          overall: z.object(difference),
          levels: z.array(z.object({ l0: number, ...difference })),
        }),
      ),
    }),
  ),
  nulls: z.array(
    z.object({
      metric,
      range: interval,
      seeds: count,
      statistic: number,
      p: number,
      draws: count,
      null: interval,
    }),
  ),
  claims: z.array(
    z.object({
      claim: z.string(),
      other: z.string(),
      metric,
      verdict: z.enum(["holds", "not compared", "reversed", "undecided"]),
      finding: z.string(),
    }),
  ),
  rows: z.array(comparedRowSchema),
});

/** Parses `compare.json`. Throws `FormatError` `COMPARISON_RESULT_INVALID`, naming the fields. */
export function parseComparisonResult(json: unknown, where?: string): ComparisonResult {
  const parsed = comparisonResultSchema.safeParse(json);
  if (parsed.success) return parsed.data;
  throw new FormatError({
    code: "COMPARISON_RESULT_INVALID",
    message: `this is not a comparison's result: ${z.prettifyError(parsed.error).replaceAll("\n", " ")}`,
    fix: "run the comparison again: finished jobs are skipped, and the result is written anew",
    where,
  });
}
