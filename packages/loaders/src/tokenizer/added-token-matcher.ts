import type { AddedToken } from "./definition.ts";
import { whitespace, wordCharacter } from "./character-classes.ts";
import { escapePattern } from "./patterns.ts";

/** An added token found in a text, or the stretch between two of them (`id` null). */
export interface Section {
  readonly from: number;
  readonly to: number;
  readonly id: number | null;
}

const spacesBefore = /* @__PURE__ */ new RegExp(`[${whitespace}]+$`, "u");
const spacesAfter = /* @__PURE__ */ new RegExp(`[${whitespace}]+`, "uy");
const endsInWord = /* @__PURE__ */ new RegExp(`[${wordCharacter}]$`, "u");
const startsInWord = /* @__PURE__ */ new RegExp(`^[${wordCharacter}]`, "u");

/**
 * Finds added tokens: the leftmost, and of those the longest. `lstrip` and `rstrip` take the white space beside the token with
 * it; `single_word` leaves it alone inside words.
 */
export class AddedTokenMatcher {
  readonly #pattern: RegExp | null;
  readonly #tokens: ReadonlyMap<string, AddedToken>;

  /** @param contents what to look for, with the token that it stands for. */
  constructor(contents: ReadonlyMap<string, AddedToken>) {
    this.#tokens = contents;
    const longestFirst = [...contents.keys()]
      .filter((content) => content !== "")
      .sort((a, b) => b.length - a.length);
    this.#pattern =
      longestFirst.length === 0 ? null : new RegExp(longestFirst.map(escapePattern).join("|"), "g");
  }

  /** Cuts a text into added tokens and what lies between. Every character is in exactly one section. */
  split(text: string): readonly Section[] {
    const pattern = this.#pattern;
    if (pattern === null) return text === "" ? [] : [{ from: 0, to: text.length, id: null }];
    const sections: Section[] = [];
    let reached = 0;
    pattern.lastIndex = 0;
    for (let match = pattern.exec(text); match !== null; match = pattern.exec(text)) {
      const token = this.#tokens.get(match[0]);
      if (token === undefined) continue;
      let from = match.index;
      let to = from + match[0].length;
      if (
        token.single_word &&
        (endsInWord.test(text.slice(Math.max(0, from - 2), from)) ||
          startsInWord.test(text.slice(to, to + 2)))
      )
        continue;
      if (token.lstrip) from = reached + text.slice(reached, from).replace(spacesBefore, "").length;
      if (token.rstrip) {
        spacesAfter.lastIndex = to;
        to += spacesAfter.exec(text)?.[0].length ?? 0;
        pattern.lastIndex = to;
      }
      if (from > reached) sections.push({ from: reached, to: from, id: null });
      sections.push({ from, to, id: token.id });
      reached = to;
    }
    if (reached < text.length) sections.push({ from: reached, to: text.length, id: null });
    return sections;
  }
}
