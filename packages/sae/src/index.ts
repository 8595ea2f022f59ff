export { architectureNames } from "./architecture.ts";
export { parseSaeConfig, saeMetadataSchema } from "./config.ts";
export type {
  CommonSaeConfig,
  JumpReluConfig,
  SaeArchitectureName,
  SaeConfig,
  SaeConfigInput,
  SaeMetadata,
  TopKConfig,
  WithDefaults,
} from "./config.ts";
export type { Interval } from "./evaluate/bootstrap.ts";
export { evaluateSae } from "./evaluate/evaluate-sae.ts";
export type { EvaluateSaeOptions, EvaluationRows, SaeMetrics } from "./evaluate/evaluate-sae.ts";
export { spliceLoss } from "./evaluate/splice-loss.ts";
export type { SpliceContext, SpliceLossOptions, SpliceResult } from "./evaluate/splice-loss.ts";
export { storeContexts } from "./evaluate/store-contexts.ts";
export { gemmaScopeFile, gemmaScopeNpz, saeFromGemmaScopeNpz } from "./formats/gemma-scope.ts";
export type { GemmaScopeNpzOptions, GemmaScopeReadOptions } from "./formats/gemma-scope.ts";
export { gemmaScopePath } from "./formats/gemma-scope-path.ts";
export type { GemmaScopePlace, GemmaScopeSite } from "./formats/gemma-scope-path.ts";
export { parseSaeLensConfig, saeLensConfigOf } from "./formats/saelens-config.ts";
export type { SaeLensConfig } from "./formats/saelens-config.ts";
export { readSaeLensWeights, saeLensSparsity, saeLensTensors } from "./formats/saelens-weights.ts";
export type { ReadSaeOptions, SaeDType } from "./formats/saelens-weights.ts";
export { identityOf } from "./identity.ts";
export { Sae } from "./sae.ts";
export { memoryCheckpoints } from "./train/checkpoint.ts";
export type {
  CheckpointStore,
  CheckpointTensor,
  TrainingCheckpoint,
  TrainingState,
  TrainingWindow,
} from "./train/checkpoint.ts";
export { parseTrainConfig, trainConfigSchema } from "./train/config.ts";
export type {
  CommonTrainConfig,
  JumpReluTrainConfig,
  TopKTrainConfig,
  TrainConfig,
  TrainConfigInput,
} from "./train/config.ts";
export type {
  BatchTopKTrainConfig,
  CustomTrainConfig,
  GatedTrainConfig,
  JumpReluTanhTrainConfig,
  MatryoshkaBatchTopKTrainConfig,
  PAnnealTrainConfig,
  PenaltyTrainConfig,
  StandardTrainConfig,
} from "./train/kinds.ts";
export { trainingArchitectures } from "./train/registry.ts";
export type {
  ExtraParameter,
  ExtraParameters,
  GradientStep,
  StepMemory,
  StepResult,
} from "./train/step.ts";
export type {
  InferenceForm,
  TrainedParameters,
  TrainingArchitecture,
} from "./train/training-architecture.ts";
export { stabilityOf, trainingHistorySchema, trainingPointSchema } from "./train/history.ts";
export type {
  Stability,
  TrainingBackend,
  TrainingHistory,
  TrainingPoint,
} from "./train/history.ts";
export { paperJumpRelu, recipe, recipeNames, shortRunJumpRelu, topK } from "./train/recipes.ts";
export type {
  JumpReluRecipeOptions,
  RecipeName,
  RecipeOptions,
  TopKRecipeOptions,
} from "./train/recipes.ts";
export { trainSae } from "./train/train-sae.ts";
export type { TrainSaeOptions, TrainSaeResult } from "./train/train-sae.ts";
export type { InputStatistics } from "./train/normalise.ts";
export type { SaeTensors, SaeWeights } from "./weights.ts";
