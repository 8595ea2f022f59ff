export { runSuite } from "./run-suite.ts";
export type { RunSuiteOptions, SuiteFailure, SuiteRun } from "./run-suite.ts";
export { jobRecordSchema } from "./job-record.ts";
export type { JobOutput, JobRecord } from "./job-record.ts";
export { comparisonStatus } from "./compare/comparison-status.ts";
export type { StageStatus } from "./compare/comparison-status.ts";
export { runComparison } from "./compare/run-comparison.ts";
export type { ComparisonRun, RunComparisonOptions } from "./compare/run-comparison.ts";
