export { chatFormat, chatReplies } from "./checks/chat.ts";
export type { ChatReply, ChatReplyOptions } from "./checks/chat.ts";
export { answerChoices, choiceAccuracy, majorityShare } from "./checks/choices.ts";
export type { ChoiceOptions, ChoiceQuestion } from "./checks/choices.ts";
export { comparisonAccuracy } from "./checks/comparisons.ts";
export type { ComparisonOptions } from "./checks/comparisons.ts";
export { binding, copying, induction } from "./checks/copying.ts";
export type { ProbeCheckOptions } from "./checks/copying.ts";
export { answerBehaviour, factRecall } from "./checks/facts.ts";
export type { FactCheckOptions, FactGroup } from "./checks/facts.ts";
export { instructionFollowing } from "./checks/instructions.ts";
export { personaGeneralisation, personaLean, personaLogOdds } from "./checks/personas.ts";
export type {
  PersonaGeneralisation,
  PersonaGeneralisationOptions,
  PersonaLeanOptions,
  PersonaOptions,
  PersonaSlot,
} from "./checks/personas.ts";
export { hintedGames, playGames, riddles } from "./checks/secret-games.ts";
export type { PlayGamesOptions } from "./checks/secret-games.ts";
export { secretRank, secretTokens } from "./checks/secret.ts";
export type { SecretGame, SecretRankOptions } from "./checks/secret.ts";
export { validationLoss } from "./checks/validation-loss.ts";
export type { ValidationLossOptions } from "./checks/validation-loss.ts";
export { evaluateTiny, figuresOf } from "./evaluate-tiny.ts";
export type { EvaluateTinyOptions } from "./evaluate-tiny.ts";
export { encodePrompt, openReply } from "./prompt.ts";
export { chooseAmong } from "./reading/choose.ts";
export type { Choice, ChoiceRequest } from "./reading/choose.ts";
export { lensRanks } from "./reading/lens.ts";
export type { LensRequest } from "./reading/lens.ts";
export { lastResidual } from "./reading/read-rows.ts";
export type { ReadingOptions, ReadRequest } from "./reading/read-rows.ts";
export { replies } from "./reading/replies.ts";
export type { Reply, ReplyOptions } from "./reading/replies.ts";
export { scoreTails } from "./reading/score.ts";
export type { Score, ScoreOptions, ScoreRequest } from "./reading/score.ts";
export { scoreWords } from "./reading/words.ts";
export type { WordsRequest } from "./reading/words.ts";
export { evaluationSchema } from "./result.ts";
export type { CheckResult, Evaluation } from "./result.ts";
export { quickSizes, thoroughSizes } from "./sizes.ts";
export type { EvaluationSizes } from "./sizes.ts";
export { bootstrapInterval, bootstrapMean, quantile } from "./statistics/bootstrap.ts";
export type { BootstrapMeanOptions, BootstrapOptions } from "./statistics/bootstrap.ts";
export { equivalence } from "./statistics/equivalence.ts";
export type { Equivalence, EquivalenceOptions } from "./statistics/equivalence.ts";
export { studentCumulative, studentQuantile } from "./statistics/student-t.ts";
export { wilson } from "./statistics/wilson.ts";
export type { Interval } from "./statistics/wilson.ts";
export { evaluationTable } from "./table.ts";
