import { AlignedBuilder, widthAt } from "./aligned-text.ts";
import type { AlignedText } from "./aligned-text.ts";

/** Rewrites a text and keeps track of which original characters each new one stands for. */
export type Normalize = (text: AlignedText) => AlignedText;

/** Puts `prefix` before a text; it stands for the text's first character, as in the reference. */
export function prependText(text: AlignedText, prefix: string): AlignedText {
  if (text.text === "") return text;
  const builder = new AlignedBuilder(text);
  builder.add(prefix, 0, widthAt(text.text, 0));
  builder.keep(0, text.text.length);
  return builder.build();
}

/** Lowers character by character: the reference does not look at a sigma's place in the word. */
export function lowercase(text: AlignedText): AlignedText {
  return text.text.toLowerCase() === text.text
    ? text
    : replaceMatches(text, /[^\P{Changes_When_Lowercased}]/gu, (character) =>
        character.toLowerCase(),
      );
}

/** Drops what `pattern` (flags `gu`) matches. */
export function removeCharacters(pattern: RegExp): Normalize {
  return (text) => replaceMatches(text, pattern, () => "");
}

/** Rewrites what `pattern` (flags `gu`) matches; new characters stand for the last character of what they replace. */
export function replaceMatches(
  text: AlignedText,
  pattern: RegExp,
  rewrite: (match: string) => string,
): AlignedText {
  const builder = new AlignedBuilder(text);
  let reached = 0;
  for (const { 0: match, index } of text.text.matchAll(pattern)) {
    if (match === "") continue;
    const end = index + match.length;
    builder.keep(reached, index);
    builder.add(rewrite(match), lastCharacter(match) + index, end);
    reached = end;
  }
  if (reached === 0) return text;
  builder.keep(reached, text.text.length);
  return builder.build();
}

function lastCharacter(text: string): number {
  const last = text.length - 1;
  return last > 0 && (text.codePointAt(last - 1) ?? 0) > 0xffff ? last - 1 : last;
}
