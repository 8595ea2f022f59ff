export { memoryCheckpoints } from "./checkpoint.ts";
export type {
  CheckpointKind,
  CheckpointStore,
  CheckpointTensor,
  FoundCheckpoint,
  MetricsWindow,
  TrainingBackend,
  TrainingCheckpoint,
  TrainingState,
} from "./checkpoint.ts";
export { chatTargets } from "./chat-targets.ts";
export type { LabelledTokens } from "./chat-targets.ts";
export { parseTrainingConfig } from "./config.ts";
export type { TrainingConfig, TrainingConfigInput } from "./config.ts";
export { ignoredTarget, tokenContexts } from "./contexts.ts";
export type { ContextStream, TokenContextsOptions, TrainingContext } from "./contexts.ts";
export { documentList } from "./documents.ts";
export type {
  DocumentListOptions,
  DocumentStream,
  DocumentTurn,
  TrainingDocument,
} from "./documents.ts";
export { countTargets, meanLoss, summedLoss } from "./loss.ts";
export { metricsPointSchema } from "./metrics.ts";
export type { MetricsPoint } from "./metrics.ts";
export { planOf, rateFactor } from "./schedule.ts";
export type { TrainingPlan } from "./schedule.ts";
export { trainLanguageModel } from "./train-language-model.ts";
export type {
  Evaluate,
  TrainLanguageModelOptions,
  TrainLanguageModelResult,
} from "./train-language-model.ts";
