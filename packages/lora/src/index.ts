export { adapterScale, parseAdapterConfig } from "./adapter-config.ts";
export type { AdapterConfig, AdapterConfigInput } from "./adapter-config.ts";
export { createAdapter, LoraAdapter } from "./adapter.ts";
export type {
  AdaptedModel,
  AdapterParameters,
  AdapterValues,
  CreateAdapterOptions,
  LowRankPair,
} from "./adapter.ts";
export { effectiveWeights } from "./effective-weights.ts";
export type { AdapterStrength } from "./effective-weights.ts";
export { parsePeftConfig, peftConfigOf } from "./peft/peft-config.ts";
export type { PeftConfig } from "./peft/peft-config.ts";
export { peftTensors, readPeftWeights } from "./peft/peft-weights.ts";
export { adaptedModules, targetModulesOf } from "./targets.ts";
export type { AdaptedModule } from "./targets.ts";
export { chatExample, exampleBatches, noTarget } from "./train/batch.ts";
export type {
  AdapterBatch,
  AdapterExample,
  BatchSource,
  ExampleBatchesOptions,
} from "./train/batch.ts";
export type {
  AdapterCheckpoint,
  AdapterCheckpoints,
  AdapterCheckpointState,
} from "./train/checkpoint.ts";
export type { AdapterTraining, AdapterTrainingInput } from "./train/config.ts";
export type { AdapterHistory, AdapterStep } from "./train/history.ts";
export { adapterGradients, trainAdapter } from "./train/train-adapter.ts";
export type { TrainAdapterOptions } from "./train/train-adapter.ts";
export { withAdapter } from "./with-adapter.ts";
export type { AdaptedView } from "./with-adapter.ts";
