export { harvest, harvestSites } from "./harvest.ts";
export type {
  HarvestOptions,
  HarvestSettings,
  HarvestSitesOptions,
  HarvestTarget,
} from "./harvest-options.ts";
export { openActivations } from "./open-activations.ts";
export { readDocuments } from "./read-documents.ts";
export { openSaeLensCache } from "./saelens-cache/open-cache.ts";
export type { SaeLensCache, SaeLensCacheRows } from "./saelens-cache/open-cache.ts";
export { writeSaeLensCache } from "./saelens-cache/write-cache.ts";
export type {
  CacheContexts,
  CacheSource,
  WriteSaeLensCacheOptions,
  WrittenCache,
} from "./saelens-cache/write-cache.ts";
