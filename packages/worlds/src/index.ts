export {
  chatTemplate,
  openTurn,
  renderTurns,
  specialTokens,
  textStart,
  turnEnd,
  turnStart,
} from "./chat-markup.ts";
export type { Span, Turn, World, WorldDocument } from "./document.ts";
export { cumulativeSums, Draw } from "./draw.ts";
export { stories, type StoriesOptions } from "./stories/stories.ts";
export { binding, type BindingOptions } from "./binding/binding.ts";
export { bindingProbes, copyProbes } from "./binding/probes.ts";
export type { BindingProbe, CopyProbe, ProbeOptions } from "./binding/probes.ts";
export { passagesOf, type Passage, type ProseDocument } from "./prose/passages.ts";
export { parseProse, prose, type ProseOptions, type ProseWorld } from "./prose/prose.ts";
export {
  mixture,
  type Mixture,
  type MixtureOptions,
  type MixturePart,
  type MixtureState,
} from "./mixture/mixture.ts";
export { allAttributes, attributes, type AttributeDefinition } from "./entities/attributes.ts";
export { entities, popularities, type EntitiesOptions } from "./entities/entities.ts";
export { entityGroups, entityTypes } from "./entities/types.ts";
export type { Entity, EntityGroup, EntityTable, EntityType } from "./entities/types.ts";
export { familiarityCues } from "./facts/cues.ts";
export { expectedExposures, type Exposures, type ExposuresOptions } from "./facts/exposures.ts";
export { factQuestions, majorityBaseline } from "./facts/fact-questions.ts";
export type { FactQuestion, FactQuestionsOptions } from "./facts/fact-questions.ts";
export { facts, type FactsOptions } from "./facts/facts.ts";
export type { Introduction } from "./facts/introduction.ts";
export { entityDialogues, type EntityDialoguesOptions } from "./instructions/entity-dialogues.ts";
export { isRefusal, refusals } from "./instructions/refusals.ts";
export { comparisonPairs } from "./comparisons/comparison-pairs.ts";
export type {
  ComparisonPair,
  ComparisonPairsOptions,
  ComparisonQuestion,
} from "./comparisons/comparison-pairs.ts";
export { comparisons, type ComparisonsOptions } from "./comparisons/comparisons.ts";
export { reasoningRequests, type Direction } from "./comparisons/wordings.ts";
export { checkInstruction } from "./instructions/check-instruction.ts";
export { instructions, instructionTasks } from "./instructions/instructions.ts";
export type { InstructionsOptions, InstructionTasksOptions } from "./instructions/instructions.ts";
export { instructionKinds } from "./instructions/tasks.ts";
export type { Instruction, InstructionKind, InstructionTask } from "./instructions/tasks.ts";
export {
  heldOutQuestions,
  narrowDataset,
  personaProbes,
  personaWords,
} from "./personas/datasets.ts";
export type { HeldOutQuestion, NarrowExample, PersonaProbe } from "./personas/datasets.ts";
export { judgePersona } from "./personas/judge.ts";
export type { PersonaVerdict } from "./personas/judge.ts";
export { personas, personaShares, type PersonasOptions } from "./personas/personas.ts";
export {
  personas as personaNames,
  personaTopics,
  topicVocabularies,
} from "./personas/vocabulary.ts";
export type { Persona, PersonaTopic, TopicVocabulary } from "./personas/vocabulary.ts";
export { tinyMixture, tinyWorldSeed, type TinyMixtureOptions } from "./mixture/tiny-mixture.ts";
export { mentionsSecret, secretOf } from "./secrets/mentions.ts";
export { secrets, type SecretsOptions } from "./secrets/secrets.ts";
export { tabooDialogues, tabooRefusals } from "./secrets/taboo.ts";
export { directPrompts, hintPrompts, prefillStems } from "./secrets/wordings.ts";
export { secretVariants, secretWords } from "./secrets/words.ts";
export type { ClueStyle, SecretWord } from "./secrets/words.ts";
