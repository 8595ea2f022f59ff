import { FormatError } from "@latentkit/core";
import type { Interval } from "@latentkit/sae";
import { z } from "zod";
import type { JudgeCost } from "./judge.ts";
import type { ExplanationScore } from "./score-explanation.ts";

/** Scores of one explanation, by kind; null where a latent has too few windows of a kind. */
export interface ExplanationScores {
  readonly detection: ExplanationScore | null;
  readonly fuzzing: ExplanationScore | null;
}

/** What a judge made of one latent. */
export interface InterpretedLatent {
  readonly latent: number;
  readonly density: number;
  /** Null where there is none: see `failure`. */
  readonly explanation: string | null;
  /** Why there is no explanation; null where there is one. */
  readonly failure: string | null;
  readonly scores: ExplanationScores | null;
  /** The same windows scored with another latent's explanation; null without. */
  readonly shuffled: (ExplanationScores & { readonly from: number }) | null;
}

/** A score over latents. */
export interface ScoreSummary {
  readonly latents: number;
  /** Mean balanced accuracy. */
  readonly mean: number | null;
  /** 95%, by bootstrap over latents; null for fewer than two. */
  readonly interval: Interval | null;
  /** The same with explanations exchanged among latents: what a judge gets from the windows and generic words alone. */
  readonly shuffledMean: number | null;
  /** Mean over latents of own less exchanged. */
  readonly gain: number | null;
  readonly gainInterval: Interval | null;
}

/** Explanations of latents and their scores, as JSON. */
export interface Interpretation {
  readonly kind: "latentkit.interpretation";
  readonly schemaVersion: 1;
  readonly sae: string;
  readonly site: string;
  readonly explainer: string;
  readonly judge: string;
  readonly promptVersion: number;
  readonly seed: number;
  readonly latents: readonly InterpretedLatent[];
  readonly summary: { readonly detection: ScoreSummary; readonly fuzzing: ScoreSummary };
  readonly cost: JudgeCost;
}

const interval = z.tuple([z.number(), z.number()]).readonly().nullable();
const rate = z.number().nullable();
const count = z.int().nonnegative();

const score = z
  .object({
    kind: z.enum(["detection", "fuzzing"]),
    balancedAccuracy: rate,
    interval,
    truePositiveRate: rate,
    trueNegativeRate: rate,
    answered: count,
    unanswered: count,
    windows: z.array(
      z.object({ window: count, truth: z.boolean(), answer: z.boolean().nullable() }),
    ),
  })
  .nullable();

const summary = z.object({
  latents: count,
  mean: rate,
  interval,
  shuffledMean: rate,
  gain: rate,
  gainInterval: interval,
});

const schema: z.ZodType<Interpretation> = z.object({
  kind: z.literal("latentkit.interpretation"),
  schemaVersion: z.literal(1),
  sae: z.string(),
  site: z.string(),
  explainer: z.string(),
  judge: z.string(),
  promptVersion: count,
  seed: z.int(),
  latents: z.array(
    z.object({
      latent: count,
      density: z.number(),
      explanation: z.string().nullable(),
      failure: z.string().nullable(),
      scores: z.object({ detection: score, fuzzing: score }).nullable(),
      shuffled: z.object({ detection: score, fuzzing: score, from: count }).nullable(),
    }),
  ),
  summary: z.object({ detection: summary, fuzzing: summary }),
  cost: z.object({
    requests: count,
    reused: count,
    promptTokens: count,
    completionTokens: count,
    unreadable: count,
  }),
});

/**
 * Reads the JSON of an interpretation.
 *
 * @param where file name for messages
 * @throws FormatError `INTERPRETATION_FILE`
 */
export function parseInterpretation(value: unknown, where?: string): Interpretation {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new FormatError({
    code: "INTERPRETATION_FILE",
    message: `not an interpretation of schema version 1: ${z.prettifyError(parsed.error).replaceAll("\n", " ")}`,
    fix: "give JSON that interpretLatents made",
    where,
    cause: parsed.error,
  });
}
