export { checkpointFolder } from "./checkpoint-folder.ts";
export { readDocuments } from "./read-documents.ts";
export { trainLanguageModel } from "./train-language-model.ts";
export type { TrainLanguageModelOptions } from "./train-language-model.ts";
