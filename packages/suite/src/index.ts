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
