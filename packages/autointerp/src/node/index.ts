export { openAnswerFile } from "./answer-file.ts";
export type { AnswerFile } from "./answer-file.ts";
export { fileCheckpoint } from "./file-checkpoint.ts";
