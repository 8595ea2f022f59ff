export type { ActivationModel, ActivationRun, ActivationSite } from "./activation-model.ts";
export { arrayBatches, shardBatches } from "./batches.ts";
export type { ActivationBatches, BatchesState, ShardBatchesOptions } from "./batches.ts";
export { chatDocument } from "./document.ts";
export type { TextDocument } from "./document.ts";
export { heldOutRows } from "./held-out.ts";
export { openLiveActivations } from "./live-activations.ts";
export type { LiveActivations, LiveActivationsOptions, LiveSite } from "./live-activations.ts";
export { manifestSchema } from "./manifest.ts";
export type {
  ActivationDType,
  HarvestConfig,
  Manifest,
  Provenance,
  ShardRecord,
  TokenCounts,
} from "./manifest.ts";
export { computeMask, contextGrid, defaultMask, maskReasons, medianTokenNorm } from "./mask.ts";
export type { MaskInput, MaskPolicy } from "./mask.ts";
export { median, normStatistics, rowNorms } from "./norms.ts";
export type { NormStatistics } from "./norms.ts";
export { defaultPacking, packDocument, packDocuments } from "./packing.ts";
export type { Context, PackedDocument, PackingPolicy } from "./packing.ts";
export { defaultSplit, splitOf, splits } from "./split.ts";
export type { Split, SplitPolicy } from "./split.ts";
export type { ActivationSettings } from "./settings.ts";
export { contextRanges, keptRows } from "./store.ts";
export type { ActivationStore, ContextRange, DocumentRecord, Shard, ShardTokens } from "./store.ts";
