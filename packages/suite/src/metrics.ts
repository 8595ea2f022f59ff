import { FormatError } from "@latentkit/core";
import { type Interval, recipeNames } from "@latentkit/sae";
import { z } from "zod";
import type { DensityHistogram } from "./densities.ts";
import type { PlannedSae } from "./plan.ts";
import { suiteSites } from "./sites.ts";

/** What was measured of an SAE, on held-out text and unmasked tokens. Losses are in nats a token. */
export interface SaeFigures {
  /** Hash of what the SAE computes, as `Sae.identity()` gives it. */
  readonly identity: string;
  /** Width of the activations. */
  readonly dIn: number;
  /** Held-out tokens, and documents that they are from. */
  readonly tokens: number;
  readonly documents: number;
  /** Mean number of active latents. */
  readonly l0: number;
  /** 95% intervals by bootstrap over documents; null for fewer than two. */
  readonly l0Interval: Interval | null;
  /** E||x - x^||^2 / E||x - Ex||^2. */
  readonly fvu: number;
  readonly fvuInterval: Interval | null;
  /** Share of latents that never fired. */
  readonly dead: number;
  /** Share of latents that fired on more than a tenth of the tokens. */
  readonly dense: number;
  readonly densities: DensityHistogram;
  /** gamma = E||x^||^2 / E(x . x^); below 1 the reconstruction is too small. */
  readonly relativeReconstructionBias: number | null;
  /** Predictions that the losses are averaged over. */
  readonly lossTokens: number;
  readonly cleanLoss: number;
  readonly splicedLoss: number;
  readonly zeroAblatedLoss: number;
  readonly meanAblatedLoss: number;
  /** splicedLoss - cleanLoss. */
  readonly deltaLoss: number;
  readonly deltaLossInterval: Interval | null;
  /** (zeroAblatedLoss - splicedLoss) / (zeroAblatedLoss - cleanLoss); null where ablation costs nothing. */
  readonly lossRecovered: number | null;
  /** The same against mean ablation. */
  readonly lossRecoveredFromMean: number | null;
}

/** A line of {@link SuiteMetrics}: an SAE, where it lies, and what was measured of it. */
export interface SuiteRow extends PlannedSae, SaeFigures {
  /** Folder of the SAE, from the suite's own. */
  readonly path: string;
}

/** `metrics.json`: all SAEs of a suite in the order of the plan. */
export interface SuiteMetrics {
  readonly schemaVersion: 1;
  readonly name: string;
  readonly model: {
    readonly name: string;
    readonly architecture: string;
    readonly weightsHash: string;
  };
  readonly contextSize: number;
  /** SAEs that the suite has; there are fewer rows until all are done. */
  readonly planned: number;
  readonly rows: readonly SuiteRow[];
}

const count = z.int().nonnegative();
const share = z.number().min(0).max(1);
const interval: z.ZodType<Interval | null> = z
  .tuple([z.number(), z.number()])
  .readonly()
  .nullable();

/** Fields of {@link PlannedSae}. */
const planned = {
  id: z.string(),
  site: z.enum(suiteSites),
  layer: count,
  hookName: z.string(),
  recipe: z.enum(recipeNames),
  architecture: z.string(),
  width: z.int().positive(),
  sparsity: z.number().nullable(),
  k: count.nullable(),
  presentations: count,
  batchSize: count.nullable(),
  seed: count,
};

const figures = {
  identity: z.string(),
  dIn: z.int().positive(),
  tokens: count,
  documents: count,
  l0: z.number().nonnegative(),
  l0Interval: interval,
  fvu: z.number(),
  fvuInterval: interval,
  dead: share,
  dense: share,
  densities: z.object({ edges: z.array(z.number()), counts: z.array(count), dead: count }),
  relativeReconstructionBias: z.number().nullable(),
  lossTokens: count,
  cleanLoss: z.number(),
  splicedLoss: z.number(),
  zeroAblatedLoss: z.number(),
  meanAblatedLoss: z.number(),
  deltaLoss: z.number(),
  deltaLossInterval: interval,
  lossRecovered: z.number().nullable(),
  lossRecoveredFromMean: z.number().nullable(),
};

/** Schema of {@link SaeFigures}. */
export const saeFiguresSchema: z.ZodType<SaeFigures> = z.object(figures);

/** Schema of {@link SuiteRow}. */
export const suiteRowSchema: z.ZodType<SuiteRow> = z.object({
  ...planned,
  path: z.string(),
  ...figures,
});

/** Schema of {@link SuiteMetrics}. Unknown fields are dropped, so that a later minor version may add some. */
export const suiteMetricsSchema: z.ZodType<SuiteMetrics> = z.object({
  schemaVersion: z.literal(1),
  name: z.string(),
  model: z.object({ name: z.string(), architecture: z.string(), weightsHash: z.string() }),
  contextSize: z.int().positive(),
  planned: count,
  rows: z.array(suiteRowSchema),
});

/** Parses `metrics.json`. Throws `FormatError` `SUITE_METRICS_INVALID`, naming the fields. */
export function parseSuiteMetrics(json: unknown, where?: string): SuiteMetrics {
  const parsed = suiteMetricsSchema.safeParse(json);
  if (parsed.success) return parsed.data;
  throw new FormatError({
    code: "SUITE_METRICS_INVALID",
    message: `these are not a suite's metrics: ${z.prettifyError(parsed.error).replaceAll("\n", " ")}`,
    fix: "run the suite again: it writes its metrics anew",
    where,
  });
}
