export type { BatchRow } from "./batch.ts";
export { architectures } from "./config.ts";
export type { Architecture, ModelConfig, ModelRopeScaling } from "./config.ts";
export { modelConfigJson } from "./config-json.ts";
export type { ModelConfigJsonOptions } from "./config-json.ts";
export { addVector, projectOut, replaceWith, scaleBy } from "./edits.ts";
export type { EditPositions, EditToken } from "./edit-positions.ts";
export type { FeatureVector, FeatureVectors, HostVector } from "./feature-vector.ts";
export type { LogitsWanted, Weight } from "./families/family.ts";
export type { GeneratedToken } from "./generation/continuation.ts";
export type { GenerateOptions } from "./generation/generate.ts";
export { countPenalties, logitBias, repetitionPenalty } from "./generation/logits-processors.ts";
export type { LogitsContext, LogitsProcessor } from "./generation/logits-processors.ts";
export type { Prompt, Prompts } from "./generation/prompt.ts";
export type { EditContext, EditFunction, SiteEdit } from "./hook-run.ts";
export { KvCache } from "./kv-cache.ts";
export type { KvCacheLayer, KvCacheOptions } from "./kv-cache.ts";
export { LanguageModel } from "./language-model.ts";
export type {
  LanguageModelParts,
  ModelIdentity,
  RunOptions,
  RunResult,
  WithWeightsOptions,
} from "./language-model.ts";
export { loadModel } from "./load-model.ts";
export type { LoadModelOptions } from "./load-model.ts";
export { randomModel } from "./random-model.ts";
export type { RandomModelOptions } from "./random-model.ts";
export type { SampledToken, SamplingOptions } from "./generation/sampling.ts";
export { patchFrom } from "./patch.ts";
export type { PatchOptions } from "./patch.ts";
export { splice } from "./splice.ts";
export type { LatentCodec, SpliceOptions } from "./splice.ts";
export { parseConfig } from "./parse-config.ts";
export { blockSite, blockSites, modelSites } from "./sites.ts";
export type { BlockSite, Site, SiteName } from "./sites.ts";
export { orthogonalizedTo, withTaskVector } from "./weight-edits.ts";
export type { Parameters } from "./weights.ts";
