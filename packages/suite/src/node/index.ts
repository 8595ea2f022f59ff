export { runSuite } from "./run-suite.ts";
export type { RunSuiteOptions, SuiteFailure, SuiteRun } from "./run-suite.ts";
export { jobRecordSchema } from "./job-record.ts";
export type { JobOutput, JobRecord } from "./job-record.ts";
