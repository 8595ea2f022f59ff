import type { TextBuilder } from "../text-builder.ts";

/**
 * A sentence pattern, compiled. In its source, a word with a mark has a part of speech (`found/v`: n noun, v verb, j adjective,
 * r adverb), and `{slot}` is a place for a phrase; all else is plain text. Function words carry no mark.
 */
export type Template = readonly TemplatePiece[];

type TemplatePiece =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "word"; readonly text: string; readonly tag: WordTag }
  | { readonly kind: "slot"; readonly name: string };

/** Gold part of speech of the span `word`: content words alone have one. */
export type WordTag = "noun" | "verb" | "adjective" | "adverb";

/** What fills a slot: a phrase, and the label of the span around it. */
export interface Filling {
  readonly phrase: Template;
  readonly label: string;
  readonly facts: Readonly<Record<string, string>>;
}

const tags: Readonly<Record<string, WordTag>> = {
  n: "noun",
  v: "verb",
  j: "adjective",
  r: "adverb",
};

/** Compiles a pattern; see {@link Template}. */
export function template(source: string): Template {
  const pieces: TemplatePiece[] = [];
  let last = 0;
  for (const match of source.matchAll(/\{(\w+)\}|([A-Za-z'-]+)\/([nvjr])\b/g)) {
    if (match.index > last) pieces.push({ kind: "text", text: source.slice(last, match.index) });
    const [whole, slot, word, mark] = match;
    const tag = tags[mark ?? ""];
    if (slot !== undefined) pieces.push({ kind: "slot", name: slot });
    else if (word !== undefined && tag !== undefined)
      pieces.push({ kind: "word", text: word, tag });
    last = match.index + whole.length;
  }
  if (last < source.length) pieces.push({ kind: "text", text: source.slice(last) });
  return pieces;
}

/** Compiles several patterns. */
export function templates(...sources: string[]): readonly Template[] {
  return sources.map(template);
}

/** Whether a template has a place for this. */
export function hasSlot(pattern: Template, name: string): boolean {
  return pattern.some((piece) => piece.kind === "slot" && piece.name === name);
}

/** Writes a sentence: its first letter becomes a capital, content words get spans `word`, and fillings spans of their labels. */
export function writeSentence(
  builder: TextBuilder,
  pattern: Template,
  fillings: Readonly<Record<string, Filling | undefined>>,
): void {
  writePieces(builder, pattern, fillings, builder.length);
}

function writePieces(
  builder: TextBuilder,
  pattern: Template,
  fillings: Readonly<Record<string, Filling | undefined>>,
  sentenceStart: number,
): void {
  for (const piece of pattern) {
    if (piece.kind === "slot") {
      const filling = fillings[piece.name];
      if (filling === undefined) continue;
      builder.within(filling.label, filling.facts, () => {
        writePieces(builder, filling.phrase, fillings, sentenceStart);
      });
      continue;
    }
    const text = builder.length === sentenceStart ? capitalised(piece.text) : piece.text;
    if (piece.kind === "text") builder.add(text);
    else builder.label(text, "word", { tag: piece.tag });
  }
}

function capitalised(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
