export { directLogits } from "./dashboard/direct-logits.ts";
export type { DirectLogits, DirectLogitsOptions, Histogram } from "./dashboard/direct-logits.ts";
export { neuronpediaBatch, neuronpediaBatchSchema } from "./dashboard/neuronpedia.ts";
export type {
  NeuronpediaActivation,
  NeuronpediaBatch,
  NeuronpediaFeature,
  NeuronpediaOptions,
} from "./dashboard/neuronpedia.ts";
export { quantileGroups } from "./dashboard/quantile-groups.ts";
export type { QuantileGroup } from "./dashboard/quantile-groups.ts";
export type {
  BackgroundWindow,
  LatentExamples,
  LatentWindow,
  TextWindow,
} from "./gather/example-collector.ts";
export type { ExamplesHeader } from "./gather/collector-file.ts";
export { gatherExamples, readExamples } from "./gather/gather-examples.ts";
export type {
  GatherCheckpoint,
  GatheredExamples,
  GatherOptions,
} from "./gather/gather-examples.ts";
export { modelTokens, storeTokens } from "./gather/token-source.ts";
export type { ModelTokensOptions, TokenRows, TokenSource } from "./gather/token-source.ts";
export type { ValueHistogram } from "./gather/value-histograms.ts";
export { memoryAnswers } from "./judge/answer-log.ts";
export type { AnswerLog, LoggedAnswer } from "./judge/answer-log.ts";
export { interpretLatents } from "./judge/interpret-latents.ts";
export type { InterpretOptions } from "./judge/interpret-latents.ts";
export { parseInterpretation } from "./judge/interpretation-result.ts";
export type {
  ExplanationScores,
  Interpretation,
  InterpretedLatent,
  ScoreSummary,
} from "./judge/interpretation-result.ts";
export type { JudgeCost } from "./judge/judge.ts";
export type { ExplanationScore, ScoredWindow, ScoreKind } from "./judge/score-explanation.ts";
