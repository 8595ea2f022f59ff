export { chooseRates } from "./compare/choose.ts";
export type { Choice, Trial, TriedRate } from "./compare/choose.ts";
export { compareRows } from "./compare/compare-rows.ts";
export { comparisonSchema, parseComparison } from "./compare/config.ts";
export type { ComparedArchitecture, Comparison, ComparisonTuning } from "./compare/config.ts";
export { claimsTable, comparisonMarkdown, comparisonTables } from "./compare/markdown.ts";
export type { ComparisonTable } from "./compare/markdown.ts";
export { renderComparison } from "./compare/page.ts";
export {
  comparedMetrics,
  comparisonResultSchema,
  parseComparisonResult,
} from "./compare/result.ts";
export type {
  AdjustedDifference,
  ArchitectureDifference,
  ClaimOutcome,
  ComparedMetric,
  ComparedPoint,
  ComparedRow,
  ComparisonResult,
  LevelDifference,
  MetricDifference,
  NullOfLabels,
} from "./compare/result.ts";
export { commonRange, spacedLevels, valueAtL0 } from "./compare/statistics/at-equal-l0.ts";
export type { CurvePoint } from "./compare/statistics/at-equal-l0.ts";
export { holm } from "./compare/statistics/holm.ts";
export { labelPermutation } from "./compare/statistics/label-permutation.ts";
export type { LabelPermutation } from "./compare/statistics/label-permutation.ts";
export { pairedDifference } from "./compare/statistics/paired-difference.ts";
export type { PairedDifference } from "./compare/statistics/paired-difference.ts";
export { densityHistogram } from "./densities.ts";
export type { DensityHistogram } from "./densities.ts";
export type { SuiteDocuments } from "./documents.ts";
export {
  parseSuiteMetrics,
  saeFiguresSchema,
  suiteMetricsSchema,
  suiteRowSchema,
} from "./metrics.ts";
export type { SaeFigures, SuiteMetrics, SuiteRow } from "./metrics.ts";
export { metricsCells, metricsColumns, metricsMarkdown } from "./metrics-table.ts";
export { planSuite } from "./plan.ts";
export type { HarvestJob, PlannedSae, SaeJob, SuiteJob, SuitePlan } from "./plan.ts";
export { releasePath } from "./release.ts";
export { hookNameOf, suiteSites } from "./sites.ts";
export type { SuiteSite } from "./sites.ts";
export { parseSuite, suiteSchema, tokenLimit } from "./suite.ts";
export type { Suite, SuiteEntry, SuiteText } from "./suite.ts";
