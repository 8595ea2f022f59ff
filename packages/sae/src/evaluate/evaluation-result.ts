import { FormatError } from "@latentkit/core";
import { z } from "zod";
import { describeIssues } from "../config.ts";
import type { SaeMetrics } from "./evaluate-sae.ts";
import type { UniformityResult } from "./latent-uniformity.ts";
import type { SpliceResult } from "./splice-loss.ts";

/** All figures of one SAE in its model, as JSON; `null` where a figure is not a number (nothing to divide by). */
export interface SaeEvaluation {
  readonly kind: "latentkit.sae-evaluation";
  readonly schemaVersion: 1;
  readonly sae: {
    readonly identity: string;
    readonly architecture: string;
    readonly dIn: number;
    readonly dSae: number;
  };
  readonly model: {
    readonly name: string;
    readonly architecture: string;
    readonly weightsHash: string;
  };
  readonly site: string;
  readonly seed: number;
  readonly mask: {
    readonly maskFirstPosition: boolean;
    readonly maximumNormRatio: number | null;
    readonly medianNorm: number;
  };
  /** Activations: reconstruction and sparsity. */
  readonly metrics: Omit<SaeMetrics, "densities" | "mean"> & {
    /** To four digits. */
    readonly densities: readonly number[];
  };
  /** The language model with reconstructions spliced in. */
  readonly splice: SpliceResult;
  /** Null where it was not asked for. */
  readonly uniformity: UniformityResult | null;
}

const figure = z.number();
/** What JSON makes of a number that is not finite. */
const loose = z.number().nullable();
const interval = z.tuple([z.number(), z.number()]).readonly().nullable();
const count = z.int().nonnegative();

const metrics = z.object({
  tokens: count,
  documents: count,
  l0: figure,
  l0Interval: interval,
  fvu: loose,
  fvuInterval: interval,
  fvuLegacy: loose,
  fvuLegacyInterval: interval,
  fvuWithMasked: loose,
  mse: figure,
  mseInterval: interval,
  deadFraction: figure,
  denseFraction: figure,
  denseFractionInterval: interval,
  densities: z.array(figure),
  relativeReconstructionBias: loose,
  relativeReconstructionBiasInterval: interval,
  l2Ratio: figure,
  l2RatioInterval: interval,
  cosine: figure,
  cosineInterval: interval,
  byPosition: z.array(
    z.object({ first: count, last: count, tokens: count, error: loose, interval }),
  ),
});

const splice = z.object({
  site: z.string(),
  contexts: count,
  documents: count,
  tokens: count,
  cleanLoss: loose,
  splicedLoss: loose,
  ablatedLoss: loose,
  meanAblatedLoss: loose,
  delta: loose,
  recovered: loose,
  recoveredFromMean: loose,
  kl: loose,
  ablatedKl: loose,
  meanAblatedKl: loose,
  klScore: loose,
  klScoreFromMean: loose,
  intervals: z.object({
    cleanLoss: interval,
    splicedLoss: interval,
    delta: interval,
    recovered: interval,
    recoveredFromMean: interval,
    kl: interval,
    klScore: interval,
    klScoreFromMean: interval,
  }),
});

const schema = z.object({
  kind: z.literal("latentkit.sae-evaluation"),
  schemaVersion: z.literal(1),
  sae: z.object({ identity: z.string(), architecture: z.string(), dIn: count, dSae: count }),
  model: z.object({ name: z.string(), architecture: z.string(), weightsHash: z.string() }),
  site: z.string(),
  seed: z.int(),
  mask: z.object({
    maskFirstPosition: z.boolean(),
    maximumNormRatio: z.number().nullable(),
    medianNorm: z.number(),
  }),
  metrics,
  splice,
  uniformity: z
    .object({
      site: z.string(),
      documents: count,
      tokens: count,
      uniformity: figure,
      interval,
      effectiveLatents: figure,
      effectiveLatentsInterval: interval,
    })
    .nullable(),
});

/** {@link SaeEvaluation} as a file holds it: figures may be null. */
export type SaeEvaluationFile = z.infer<typeof schema>;

/**
 * Reads the JSON of a result file.
 *
 * @param where file name for messages
 * @throws FormatError `SAE_EVALUATION`, naming the fields that do not fit
 */
export function parseSaeEvaluation(value: unknown, where?: string): SaeEvaluationFile {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new FormatError({
    code: "SAE_EVALUATION",
    message: `not an SAE evaluation of schema version 1: ${describeIssues(parsed.error)}`,
    fix: "give the result.json of `latentkit sae eval`",
    where,
    cause: parsed.error,
  });
}
