export { architectureNames } from "./architecture.ts";
export { Crosscoder } from "./crosscoder.ts";
export { parseSaeConfig, saeMetadataSchema } from "./config.ts";
export type {
  AbsTopKConfig,
  CommonSaeConfig,
  JumpReluConfig,
  MatchingPursuitConfig,
  SaeArchitectureName,
  SaeConfig,
  SaeConfigInput,
  SaeMetadata,
  TopKConfig,
  WithDefaults,
} from "./config.ts";
export { bootstrapInterval } from "./evaluate/bootstrap.ts";
export type { Interval } from "./evaluate/bootstrap.ts";
export { maximumAssignment } from "./evaluate/assignment.ts";
export { compareDirections } from "./evaluate/compare-directions.ts";
export type {
  CompareDirectionsOptions,
  DirectionComparison,
  DirectionMatch,
  Directions,
} from "./evaluate/compare-directions.ts";
export type { CalibratedMask, SpliceContext } from "./evaluate/context-batch.ts";
export { calibrateMask, contextRows } from "./evaluate/context-rows.ts";
export type { CalibrateMaskOptions, ContextRowsOptions } from "./evaluate/context-rows.ts";
export { evaluateInModel } from "./evaluate/evaluate-in-model.ts";
export type { EvaluateInModelOptions } from "./evaluate/evaluate-in-model.ts";
export { evaluateSae } from "./evaluate/evaluate-sae.ts";
export type { EvaluateSaeOptions, PositionError, SaeMetrics } from "./evaluate/evaluate-sae.ts";
export { parseSaeEvaluation } from "./evaluate/evaluation-result.ts";
export type { SaeEvaluation, SaeEvaluationFile } from "./evaluate/evaluation-result.ts";
export { latentUniformity, relativeEntropy } from "./evaluate/latent-uniformity.ts";
export type { LatentUniformityOptions, UniformityResult } from "./evaluate/latent-uniformity.ts";
export { packedContexts } from "./evaluate/packed-contexts.ts";
export type { PackedContext, PackedContextsOptions } from "./evaluate/packed-contexts.ts";
export { seedStability } from "./evaluate/seed-stability.ts";
export type { SeedPair, SeedStability, SeedStabilityOptions } from "./evaluate/seed-stability.ts";
export { spliceLoss } from "./evaluate/splice-loss.ts";
export type { SpliceLossOptions, SpliceResult } from "./evaluate/splice-loss.ts";
export type { EvaluationRows } from "./evaluate/split-rows.ts";
export { storeContexts } from "./evaluate/store-contexts.ts";
export { gemmaScopeFile, gemmaScopeNpz, saeFromGemmaScopeNpz } from "./formats/gemma-scope.ts";
export type { GemmaScopeNpzOptions, GemmaScopeReadOptions } from "./formats/gemma-scope.ts";
export { gemmaScopePath } from "./formats/gemma-scope-path.ts";
export type { GemmaScopePlace, GemmaScopeSite } from "./formats/gemma-scope-path.ts";
export { saeFormatNames } from "./formats/format.ts";
export type { FormatOptions, SaeFiles, SaeFormatName, SaePlan } from "./formats/format.ts";
export { openSaeFiles } from "./formats/open-sae-files.ts";
export type { Whitening } from "./formats/fold.ts";
export { canonicalOf, releasedSae } from "./formats/releases.ts";
export type { ReleasedSae } from "./formats/releases.ts";
export { parseSaeLensConfig, saeLensConfigOf } from "./formats/saelens-config.ts";
export type { SaeLensConfig } from "./formats/saelens-config.ts";
export { readSaeLensWeights, saeLensSparsity, saeLensTensors } from "./formats/saelens-weights.ts";
export type { ReadSaeOptions, SaeDType } from "./formats/saelens-weights.ts";
export type { WeightSource } from "./formats/weight-source.ts";
export { normalisedRows } from "./per-token.ts";
export type { NormalisedRows, PerTokenNormalisation } from "./per-token.ts";
export { identityOf } from "./identity.ts";
export { Sae } from "./sae.ts";
export { parseSyntheticWorld } from "./synthetic/config.ts";
export type {
  Correlation,
  FeatureHierarchy,
  FeatureTree,
  PerFeature,
  SyntheticWorldConfig,
  SyntheticWorldInput,
} from "./synthetic/config.ts";
export { evaluateOnWorld } from "./synthetic/evaluate-on-world.ts";
export type { WorldMetrics } from "./synthetic/evaluate-on-world.ts";
export { SyntheticWorld } from "./synthetic/world.ts";
export type { SyntheticRows } from "./synthetic/world.ts";
export { memoryCheckpoints } from "./train/checkpoint.ts";
export type {
  CheckpointStore,
  CheckpointTensor,
  TrainingCheckpoint,
  TrainingState,
  TrainingWindow,
} from "./train/checkpoint.ts";
export { parseTrainConfig, trainConfigSchema } from "./train/config.ts";
export type { RecipeName, TranscoderTraining } from "./train/common-config.ts";
export type {
  BatchTopKCrosscoderTrainConfig,
  CrosscoderSite,
  CrosscoderTrainConfig,
} from "./train/crosscoder-config.ts";
export { joinStores } from "./train/joined-store.ts";
export type {
  CommonTrainConfig,
  JumpReluTrainConfig,
  TopKTrainConfig,
  TrainConfig,
  TrainConfigInput,
} from "./train/config.ts";
export type {
  AbsTopKTrainConfig,
  BatchTopKTrainConfig,
  CustomTrainConfig,
  GatedTrainConfig,
  JumpReluTanhTrainConfig,
  MatchingPursuitTrainConfig,
  MatryoshkaBatchTopKTrainConfig,
  PAnnealTrainConfig,
  PenaltyTrainConfig,
  StandardTrainConfig,
} from "./train/kinds.ts";
export { describeTraining, trainingSchedule } from "./train/describe.ts";
export type { SchedulePoint, TrainingStatement } from "./train/describe.ts";
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
export { recipeNames } from "./train/common-config.ts";
export { paperJumpRelu, recipe, shortRunJumpRelu, topK } from "./train/recipes.ts";
export type {
  JumpReluRecipeOptions,
  ShortRunRecipeOptions,
  TopKRecipeOptions,
} from "./train/recipes.ts";
export type { KindRecipeOptions } from "./train/kind-recipes.ts";
export type { RecipeOptions } from "./train/recipe-run.ts";
export { trainSae } from "./train/train-sae.ts";
export type { TrainSaeOptions, TrainSaeResult } from "./train/train-sae.ts";
export { trainSaes } from "./train/train-saes.ts";
export type {
  SaeOutcome,
  SaeStepEvent,
  SaeTraining,
  TrainSaesOptions,
} from "./train/train-saes.ts";
export type { InputStatistics } from "./train/normalise.ts";
export type { SaeTensors, SaeWeights } from "./weights.ts";
