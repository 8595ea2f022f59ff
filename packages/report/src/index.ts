export type {
  AtlasReport,
  ReportClass,
  ReportContext,
  ReportLatent,
  ReportMetric,
  ReportNull,
  ReportShare,
  ReportTokenScore,
  ReportTraining,
} from "./atlas-report.ts";
export { atlasFigures } from "./atlas-figures.ts";
export type { FigureFile } from "./atlas-figures.ts";
export type {
  DashboardActivation,
  DashboardFeature,
  DashboardInterpretation,
  DashboardScore,
  DashboardScores,
  DashboardsReport,
  DashboardSummary,
} from "./dashboards/dashboards-report.ts";
export { renderDashboards } from "./dashboards/render-dashboards.ts";
export { renderSaeEvaluation } from "./evaluation/render-sae-evaluation.ts";
export type { ReportInterval, SaeEvaluationReport } from "./evaluation/sae-evaluation-report.ts";
export { lossCurve } from "./figures/loss-curve.ts";
export type { LossCurve, LossPoint } from "./figures/loss-curve.ts";
export { escapeHtml, visibleText, visibleToken } from "./markup.ts";
export { renderAtlas } from "./render-atlas.ts";
export { renderSuite } from "./render-suite.ts";
export { renderTraining } from "./render-training.ts";
export type { SuiteReport, SuiteReportRow } from "./suite-report.ts";
export type {
  SchedulePoint,
  TrainingFact,
  TrainingReport,
  TrainingReportPoint,
  TrainingReportSae,
} from "./training-report.ts";
export { displayWidth, renderTable } from "./terminal-table.ts";
export type { TableCell, TableColumn } from "./terminal-table.ts";
