/** A 95% interval. */
export type ReportInterval = readonly [low: number, high: number] | null;

/** What {@link renderSaeEvaluation} shows: the result of `evaluateInModel` of `@latentkit/sae` is one. Null for figures that are none. */
export interface SaeEvaluationReport {
  readonly sae: {
    readonly identity: string;
    readonly architecture: string;
    readonly dIn: number;
    readonly dSae: number;
  };
  readonly model: { readonly name: string; readonly weightsHash: string };
  readonly site: string;
  readonly seed: number;
  readonly metrics: {
    readonly tokens: number;
    readonly documents: number;
    readonly l0: number;
    readonly l0Interval: ReportInterval;
    readonly fvu: number | null;
    readonly fvuInterval: ReportInterval;
    readonly fvuLegacy: number | null;
    readonly fvuLegacyInterval: ReportInterval;
    readonly fvuWithMasked: number | null;
    readonly deadFraction: number;
    readonly denseFraction: number;
    readonly denseFractionInterval: ReportInterval;
    readonly densities: readonly number[];
    readonly relativeReconstructionBias: number | null;
    readonly relativeReconstructionBiasInterval: ReportInterval;
    readonly l2Ratio: number;
    readonly l2RatioInterval: ReportInterval;
    readonly cosine: number;
    readonly cosineInterval: ReportInterval;
    readonly byPosition: readonly {
      readonly first: number;
      readonly last: number;
      readonly tokens: number;
      readonly error: number | null;
      readonly interval: ReportInterval;
    }[];
  };
  readonly splice: {
    readonly contexts: number;
    readonly tokens: number;
    readonly cleanLoss: number | null;
    readonly splicedLoss: number | null;
    readonly ablatedLoss: number | null;
    readonly meanAblatedLoss: number | null;
    readonly delta: number | null;
    readonly recovered: number | null;
    readonly recoveredFromMean: number | null;
    readonly kl: number | null;
    readonly ablatedKl: number | null;
    readonly meanAblatedKl: number | null;
    readonly klScore: number | null;
    readonly klScoreFromMean: number | null;
    readonly intervals: Readonly<
      Record<
        | "cleanLoss"
        | "delta"
        | "kl"
        | "klScore"
        | "klScoreFromMean"
        | "recovered"
        | "recoveredFromMean"
        | "splicedLoss",
        ReportInterval
      >
    >;
  };
  readonly uniformity: {
    readonly tokens: number;
    readonly uniformity: number;
    readonly interval: ReportInterval;
    readonly effectiveLatents: number;
    readonly effectiveLatentsInterval: ReportInterval;
  } | null;
}
