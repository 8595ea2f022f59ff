export { harvest } from "./harvest.ts";
export type { HarvestOptions } from "./harvest-options.ts";
export { openActivations } from "./open-activations.ts";
export { readDocuments } from "./read-documents.ts";
