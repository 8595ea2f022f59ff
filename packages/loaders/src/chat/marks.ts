import type { ChatMessage } from "./conversation.ts";
import { pythonStrip } from "./python-strip.ts";

/** A stretch of a text, in UTF-16 units. */
export interface TextSpan {
  readonly start: number;
  readonly end: number;
}

/** Whether marks go around all of a content, or inside of the white space at its ends, which some templates take away. */
export type MarkPlace = "outside" | "inside";

/** Puts marks around contents before rendering and takes them out of the rendered text again. */
export interface Marks {
  mark(message: ChatMessage, index: number, place: MarkPlace): ChatMessage;
  /** The text without marks, and where in it contents begin and end, by index. Templates may drop one mark of a content. */
  unmark(text: string): UnmarkedText;
}

/** A text whose marks were taken out. */
export interface UnmarkedText {
  readonly text: string;
  readonly starts: ReadonlyMap<number, number>;
  readonly ends: ReadonlyMap<number, number>;
}

const firstPrivate = 0xe000;
const lastPrivate = 0xf8fc;

/** Marks of characters for private use that none of the messages has. */
export function makeMarks(messages: readonly ChatMessage[]): Marks {
  const taken = messages.map(({ content }) => content).join("");
  let code = firstPrivate;
  while (
    code < lastPrivate &&
    [0, 1, 2].some((more) => taken.includes(String.fromCharCode(code + more)))
  )
    code++;
  const [open, close, end] = [0, 1, 2].map((more) => String.fromCharCode(code + more));
  const pattern = new RegExp(`(${open}|${close})(\\d+)${end}`, "g");
  return {
    mark({ role, content }, index, place) {
      const core = place === "inside" ? pythonStrip(content, "strip", null) : content;
      const at =
        place === "inside" ? content.length - pythonStrip(content, "lstrip", null).length : 0;
      const marked = `${open}${index}${end}${core}${close}${index}${end}`;
      return { role, content: content.slice(0, at) + marked + content.slice(at + core.length) };
    },
    unmark(text) {
      const parts: string[] = [];
      const starts = new Map<number, number>();
      const ends = new Map<number, number>();
      let length = 0;
      let reached = 0;
      for (const match of text.matchAll(pattern)) {
        const part = text.slice(reached, match.index);
        parts.push(part);
        length += part.length;
        reached = match.index + match[0].length;
        const places = match[1] === open ? starts : ends;
        const index = Number(match[2]);
        if (!places.has(index)) places.set(index, length);
      }
      parts.push(text.slice(reached));
      return { text: parts.join(""), starts, ends };
    },
  };
}
