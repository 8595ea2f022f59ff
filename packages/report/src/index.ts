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
export { lossCurve } from "./figures/loss-curve.ts";
export type { LossCurve, LossPoint } from "./figures/loss-curve.ts";
export { escapeHtml, visibleText, visibleToken } from "./markup.ts";
export { renderAtlas } from "./render-atlas.ts";
export { displayWidth, renderTable } from "./terminal-table.ts";
export type { TableCell, TableColumn } from "./terminal-table.ts";
