import type { ReportInterval } from "../evaluation/sae-evaluation-report.ts";

/** A window of a latent's dashboard, as Neuronpedia's JSON has it. */
export interface DashboardActivation {
  /** -1 for one of the strongest. */
  readonly bin_min: number;
  readonly bin_max: number;
  readonly bin_contains: number;
  readonly tokens: readonly string[];
  readonly values: readonly number[];
  readonly qualifying_token_index: number;
}

/** A latent's dashboard, as Neuronpedia's JSON has it: what of it is shown. */
export interface DashboardFeature {
  readonly feature_index: number;
  readonly neg_str: readonly string[];
  readonly neg_values: readonly number[];
  readonly pos_str: readonly string[];
  readonly pos_values: readonly number[];
  readonly frac_nonzero: number;
  readonly freq_hist_data_bar_values: readonly number[];
  readonly freq_hist_data_bar_heights: readonly number[];
  readonly logits_hist_data_bar_heights: readonly number[];
  readonly logits_hist_data_bar_values: readonly number[];
  readonly activations: readonly DashboardActivation[];
}

/** One score of an explanation. */
export interface DashboardScore {
  readonly balancedAccuracy: number | null;
  readonly interval: ReportInterval;
  readonly answered: number;
  readonly unanswered: number;
}

/** What a judge made of a latent: an entry of an interpretation of `@latentkit/autointerp` is one. */
export interface DashboardInterpretation {
  readonly latent: number;
  readonly explanation: string | null;
  readonly failure: string | null;
  readonly scores: DashboardScores | null;
  /** With another latent's explanation. */
  readonly shuffled: DashboardScores | null;
}

/** Scores by kind. */
export interface DashboardScores {
  readonly detection: DashboardScore | null;
  readonly fuzzing: DashboardScore | null;
}

/** A figure over latents. */
export interface DashboardSummary {
  readonly latents: number;
  readonly mean: number | null;
  readonly interval: ReportInterval;
  readonly shuffledMean: number | null;
  readonly gain: number | null;
  readonly gainInterval: ReportInterval;
}

/** What {@link renderDashboards} shows. */
export interface DashboardsReport {
  /** A batch in Neuronpedia's shape, from `neuronpediaBatch` of `@latentkit/autointerp` or from SAEDashboard. */
  readonly batch: {
    readonly model_id: string;
    readonly layer: number;
    readonly sae_set: string;
    readonly features: readonly DashboardFeature[];
  };
  /** From `interpretLatents`. */
  readonly interpretation?:
    | {
        readonly judge: string;
        readonly explainer: string;
        readonly latents: readonly DashboardInterpretation[];
        readonly summary: {
          readonly detection: DashboardSummary;
          readonly fuzzing: DashboardSummary;
        };
      }
    | undefined;
  /** Unmasked tokens of the text, and its name. */
  readonly text?: { readonly name: string; readonly tokens: number } | undefined;
}
