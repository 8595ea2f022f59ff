export { attentionPatterns } from "./attention-patterns.ts";
export type { AttentionPatternsOptions, HeadPattern } from "./attention-patterns.ts";
export { accumulatedResiduals, decomposeResiduals } from "./decompose-residuals.ts";
export type { AccumulatedResiduals, DecomposedResiduals } from "./decompose-residuals.ts";
export { directionLogits } from "./direction-logits.ts";
export type { DirectionLogitsOptions } from "./direction-logits.ts";
export { directLogitAttribution } from "./direct-logit-attribution.ts";
export type {
  LogitAttribution,
  LogitAttributionOptions,
  RowAttribution,
} from "./direct-logit-attribution.ts";
export { headStatistics } from "./head-statistics.ts";
export type { HeadStatistics } from "./head-statistics.ts";
export { logitLens } from "./logit-lens.ts";
export type { LensPlace, LensSite, LensToken, LogitLensOptions } from "./logit-lens.ts";
export { activationPatching } from "./patching/activation-patching.ts";
export type { ActivationPatchingOptions } from "./patching/activation-patching.ts";
export { attributionPatching } from "./patching/attribution-patching.ts";
export type { AttributionPatchingOptions } from "./patching/attribution-patching.ts";
export { logitDifference, nextTokenLoss, targetLogProbability } from "./patching/metrics.ts";
export type { MetricOptions, MetricReduction, PatchMetric } from "./patching/metrics.ts";
export type { PatchedValue, PatchPlace, PatchSite, PatchTable } from "./patching/patch-places.ts";
export type { PatchingOptions } from "./patching/prompts.ts";
export { repeatedTokens } from "./repeated-tokens.ts";
export type { RepeatedTokensOptions } from "./repeated-tokens.ts";
export type { ComponentOptions, ResidualComponent } from "./residual-components.ts";
