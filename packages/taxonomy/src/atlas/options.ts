import type { ActivationStore, Split } from "@latentkit/activations";
import { ConfigError, type LongCallOptions } from "@latentkit/core";
import type { LanguageModel } from "@latentkit/models";
import type { Sae, SaeMetrics, SpliceResult, TrainingHistory } from "@latentkit/sae";
import { z } from "zod";

/** Settings of an atlas; all are written into the result. */
export interface AtlasSettings {
  /** Density above which a latent is dense; the paper's 0.1. */
  readonly denseThreshold: number;
  /** Antipodality above which a latent is called antipodal; 0.9. */
  readonly strongScore: number;
  /** |cosine| with the first principal component; the paper's 0.75. */
  readonly pcaCut: number;
  /** Weakest unembedding directions; the paper's 10. */
  readonly nullspaceDirections: number;
  /** Quantile of random directions at which the null-space test cuts; 0.999. */
  readonly nullspaceQuantile: number;
  /** Share of head tokens with one first letter; the paper's 0.9. */
  readonly alphabetPurity: number;
  readonly alphabetTokens: number;
  /** Latents that are not dense, drawn for the false-positive rates and the scatter. */
  readonly sparseSample: number;
  /** Random directions on which every test is run. */
  readonly randomDirections: number;
  /** Dense latents described in full, densest first. */
  readonly maximumLatents: number;
  /** Tokens read at most; the shard in which the number is reached is read to its end. */
  readonly maximumTokens: number;
  readonly topContexts: number;
  /** Quantiles of the firing strengths near which further contexts are drawn. */
  readonly sampleQuantiles: readonly number[];
  readonly tokensBefore: number;
  readonly tokensAfter: number;
  /** Tokens listed as promoted, and as suppressed. */
  readonly lensTokens: number;
}

/** What the paper uses, or where it is silent, what fits a small model. */
export const defaultAtlasSettings: AtlasSettings = {
  denseThreshold: 0.1,
  strongScore: 0.9,
  pcaCut: 0.75,
  nullspaceDirections: 10,
  nullspaceQuantile: 0.999,
  alphabetPurity: 0.9,
  alphabetTokens: 100,
  sparseSample: 512,
  randomDirections: 256,
  maximumLatents: 200,
  maximumTokens: 1_000_000,
  topContexts: 5,
  sampleQuantiles: [0.9, 0.5, 0.1],
  tokensBefore: 20,
  tokensAfter: 10,
  lensTokens: 12,
};

/** What `buildAtlas` reads. Nothing of it is disposed. */
export interface BuildAtlasOptions extends LongCallOptions {
  readonly model: LanguageModel;
  readonly sae: Sae;
  /** Activations of the SAE's site. */
  readonly store: ActivationStore;
  /** How the SAE was trained; null for SAEs of others. Labels are withheld where it had not settled. */
  readonly history: TrainingHistory | null;
  /** From `evaluateSae` on the same store; without it only L0 and dead latents are reported. */
  readonly metrics?: SaeMetrics | null | undefined;
  /** From `spliceLoss`. */
  readonly splice?: SpliceResult | null | undefined;
  readonly seed: number;
  readonly split?: Split | undefined;
  /** What the text is called, for example its file's name. */
  readonly corpusName?: string | undefined;
  /** The command that made the atlas. */
  readonly command?: string | null | undefined;
  /** Versions worth recording. */
  readonly versions?: Readonly<Record<string, string>> | undefined;
  readonly settings?: Partial<AtlasSettings> | undefined;
  /** The clock, for results that must not change from run to run. */
  readonly now?: (() => Date) | undefined;
}

const share = z.number().gt(0).lt(1);
const count = z.int().nonnegative();
const schema = z.strictObject({
  denseThreshold: share,
  strongScore: share,
  pcaCut: share,
  nullspaceDirections: z.int().positive(),
  nullspaceQuantile: share,
  alphabetPurity: z.number().gt(0).lte(1),
  alphabetTokens: z.int().positive(),
  sparseSample: count,
  randomDirections: count,
  maximumLatents: count,
  maximumTokens: z.int().positive(),
  topContexts: count,
  sampleQuantiles: z.array(z.number().min(0).max(1)),
  tokensBefore: count,
  tokensAfter: count,
  lensTokens: count,
});

/** Defaults filled in; throws ConfigError `ATLAS_SETTINGS` naming the setting. */
export function parseSettings(settings: Partial<AtlasSettings> | undefined): AtlasSettings {
  const parsed = schema.safeParse({ ...defaultAtlasSettings, ...settings });
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new ConfigError({
    code: "ATLAS_SETTINGS",
    message: `atlas setting ${issue?.path.join(".") ?? ""}: ${issue?.message ?? ""}`,
    fix: "correct the setting, or leave it out for the default",
    cause: parsed.error,
  });
}
