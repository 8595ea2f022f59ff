export { alphabetTest, extremeTokens, firstLetter, headSize, letterIndex } from "./alphabet.ts";
export type { AlphabetOptions, AlphabetVerdict, LetterIndex } from "./alphabet.ts";
export { antipodality, cosineMatrix } from "./antipodality.ts";
export type { Antipodality, AntipodalityOptions } from "./antipodality.ts";
export { antipodalityNull } from "./antipodality-null.ts";
export type { AntipodalityNull, AntipodalityNullOptions } from "./antipodality-null.ts";
export type {
  AtlasClass,
  AtlasContext,
  AtlasLatent,
  AtlasMetric,
  AtlasNull,
  AtlasResult,
  AtlasShare,
  AtlasTokenScore,
  AtlasTraining,
} from "./atlas-result.ts";
export { buildAtlas } from "./atlas/build-atlas.ts";
export { defaultAtlasSettings } from "./atlas/options.ts";
export type { AtlasSettings, BuildAtlasOptions } from "./atlas/options.ts";
export { betaQuantile, logGamma, regularizedBeta, regularizedBetaUpper } from "./beta.ts";
export { sampleContexts, topContexts } from "./contexts.ts";
export type { ContextWindow, WindowOptions } from "./contexts.ts";
export { entropyEffect, entropyShift } from "./entropy-effect.ts";
export type { EntropyEffect, EntropyShift, FinalPath } from "./entropy-effect.ts";
export { coFirings, collectColumns, countFirings, densities, documentDensity } from "./firing.ts";
export type {
  FiringBlock,
  FiringBlocks,
  FiringColumn,
  FiringCounts,
  TokenTable,
} from "./firing.ts";
export { classOrder, labellingOf, labelsOf } from "./labels.ts";
export type { ClassId, Labelling } from "./labels.ts";
export { eachLogitContribution, logitLens } from "./logit-lens.ts";
export type { LogitContributionOptions, LogitLens, TokenScore } from "./logit-lens.ts";
export { nullSpaceCut, nullSpaceShares, unembeddingSpectrum } from "./null-space.ts";
export type { UnembeddingSpectrum } from "./null-space.ts";
export {
  componentCosines,
  CovarianceAccumulator,
  principalComponents,
} from "./principal-components.ts";
export type { PrincipalComponents } from "./principal-components.ts";
export { atlasResultSchema, parseAtlasResult } from "./schema.ts";
export { bootstrapRatio, wilsonInterval } from "./statistics.ts";
export type { BootstrapOptions, Interval } from "./statistics.ts";
export { asRows, randomDirections } from "./vectors.ts";
export type { Rows } from "./vectors.ts";
