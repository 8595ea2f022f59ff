/**
 * The shape of `result.json`. It is declared by the report, a layer below, so that results can be drawn without this package and
 * there is one declaration; here it goes by the study's names.
 */
export type {
  AtlasReport as AtlasResult,
  ReportClass as AtlasClass,
  ReportContext as AtlasContext,
  ReportLatent as AtlasLatent,
  ReportMetric as AtlasMetric,
  ReportNull as AtlasNull,
  ReportShare as AtlasShare,
  ReportTokenScore as AtlasTokenScore,
  ReportTraining as AtlasTraining,
} from "@latentkit/report";
