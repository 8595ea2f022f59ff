import type { Antipodality } from "../antipodality.ts";
import type { AtlasClass, AtlasResult } from "../atlas-result.ts";
import type { LetterIndex } from "../alphabet.ts";
import type { ClassId } from "../labels.ts";
import type { DirectionVerdict } from "./directions.ts";
import type { AtlasSettings } from "./options.ts";

/** What the tests said of dense latents, of a sample of the others, and of random directions. */
export type Verdicts = Readonly<Record<"dense" | "sparse" | "random", readonly DirectionVerdict[]>>;

/** A class with its share and false-positive rates. `pairs` are strong mutual pairs, `dense` the latents judged, in order. */
export function classEntry(
  id: ClassId,
  verdicts: Verdicts,
  pairs: readonly Antipodality[],
  dense: readonly number[],
  settings: AtlasSettings,
): AtlasClass {
  const share = (list: readonly DirectionVerdict[]): AtlasClass["dense"] => ({
    passed: list.filter((verdict) => verdict[id].passes).length,
    tested: list.length,
  });
  const passing = new Set(dense.filter((_, index) => verdicts.dense[index]?.[id].passes === true));
  const names: Readonly<Record<ClassId, readonly [name: string, test: string]>> = {
    pca: [
      "PCA",
      `|cosine| of the decoder row with the first principal component above ${settings.pcaCut}`,
    ],
    nullspace: [
      "null space",
      `share of the decoder row inside the ${settings.nullspaceDirections} weakest unembedding directions above the ${100 * settings.nullspaceQuantile}% quantile of random directions`,
    ],
    alphabet: [
      "alphabet",
      `at least ${100 * settings.alphabetPurity}% of the most promoted, or most suppressed, min(${settings.alphabetTokens}, half the letter's) tokens start with one letter`,
    ],
  };
  const [name, test] = names[id];
  const hit = pairs.filter((pair) => passing.has(pair.latent) || passing.has(pair.partner)).length;
  return {
    id,
    name,
    test,
    dense: share(verdicts.dense),
    pairs: hit,
    sparse: share(verdicts.sparse),
    random: share(verdicts.random),
  };
}

/** The commonest first letters of the vocabulary. */
export function baseRates(letters: LetterIndex | undefined): AtlasResult["alphabet"]["baseRates"] {
  if (letters === undefined) return [];
  const sorted = [...letters.counts].sort(([, a], [, b]) => b - a).slice(0, 12);
  return sorted.map(([letter, tokens]) => ({ letter, tokens, rate: tokens / letters.tokens }));
}
