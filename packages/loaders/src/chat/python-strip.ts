import { whitespace } from "../tokenizer/character-classes.ts";

/** What Python's `str.strip` takes away unless told: Unicode's white space, and four separators of ASCII. */
export const pythonWhitespace: string = `${whitespace}\\x1c-\\x1f`;

const blank = /* @__PURE__ */ new RegExp(`[${pythonWhitespace}]`, "u");

/** `strip`, `lstrip` or `rstrip` of a text, of white space or of any of the given characters. */
export function pythonStrip(text: string, method: string, characters: string | null): string {
  const set = characters === null ? null : new Set(characters);
  const goes = (character: string): boolean =>
    set === null ? blank.test(character) : set.has(character);
  const all = Array.from(text);
  let from = 0;
  let to = all.length;
  if (method !== "rstrip") while (from < to && goes(all[from] ?? "")) from++;
  if (method !== "lstrip") while (to > from && goes(all[to - 1] ?? "")) to--;
  return from === 0 && to === all.length ? text : all.slice(from, to).join("");
}
