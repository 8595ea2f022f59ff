import { AlignedBuilder } from "./aligned-text.ts";
import type { AlignedText, CharacterChange } from "./aligned-text.ts";

const forms = ["NFC", "NFD", "NFKC", "NFKD"] as const;

/** One of Unicode's normalisation forms. */
export type UnicodeForm = (typeof forms)[number];

/** Whether a normaliser is one of Unicode's forms. */
export function isUnicodeForm(type: string): type is UnicodeForm {
  return forms.some((form) => form === type);
}

// Characters that normalisation may join or reorder: a base with its marks, Korean letters and Japanese half-width voicing.
const clusters = /[^\p{M}][\p{M}\u1160-\u11ff\u3131-\u318e\ud7b0-\ud7fb\uff9e-\uffdc]*|\p{M}+/gsu;

/** Normalises to a form of Unicode, cluster by cluster, so that each character keeps its place in the original. */
export function makeUnicodeForm(form: UnicodeForm): (text: AlignedText) => AlignedText {
  return (text) => {
    if (text.text.normalize(form) === text.text) return text;
    const builder = new AlignedBuilder(text);
    for (const { 0: cluster, index } of text.text.matchAll(clusters)) {
      if (cluster.normalize(form) === cluster) builder.keep(index, index + cluster.length);
      else builder.replace(changesOf(cluster, form), index);
    }
    return builder.build();
  };
}

/**
 * The characters of a normalised cluster, and how each came about. The algorithm of the standard is decompose, sort, compose; of
 * what a character decomposes to, all but the first are insertions, and a composition takes its second part in.
 */
function changesOf(cluster: string, form: UnicodeForm): CharacterChange[] {
  const decomposed = form === "NFC" || form === "NFD" ? "NFD" : "NFKD";
  const parts = Array.from(cluster).flatMap((source) =>
    Array.from(source.normalize(decomposed), (character, index) => ({
      character,
      change: index === 0 ? 0 : 1,
    })),
  );
  const sorted = Array.from(cluster.normalize(decomposed), (character) => take(parts, character));
  if (form === decomposed) return sorted;
  return Array.from(cluster.normalize(form), (character) => {
    const taken = Array.from(character.normalize("NFD"), (part) => take(sorted, part));
    const change = taken.reduce((sum, part) => sum + part.change, 1 - taken.length);
    return { character, change };
  });
}

/** Takes the first of the parts that is this character out of the list. */
function take(parts: CharacterChange[], character: string): CharacterChange {
  const at = parts.findIndex((part) => part.character === character);
  return parts.splice(Math.max(0, at), 1)[0] ?? { character, change: 1 };
}
