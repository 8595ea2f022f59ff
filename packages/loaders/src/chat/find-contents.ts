import { attempt } from "./conversation.ts";
import type { ChatEnding, ChatMessage, RenderMessages } from "./conversation.ts";
import { makeMarks } from "./marks.ts";
import type { MarkPlace, TextSpan } from "./marks.ts";

/** A conversation and how it came out. */
export interface RenderedConversation {
  readonly text: string;
  readonly messages: readonly ChatMessage[];
  readonly ending: ChatEnding;
  readonly render: RenderMessages;
}

/**
 * Where each message's content is in the rendered text. Templates are programs, so contents are given to them with marks around:
 * where the text without marks is the text, the marks say where the contents went, however often they are the same. Marks go around
 * whole contents first, then inside of white space (for templates that trim), then around one content at a time (for those that
 * look at some of them). What the template leaves out has no place (null); what no mark could show
 * is searched for in the order of the conversation.
 */
export function findContents(chat: RenderedConversation): readonly (TextSpan | null)[] {
  const { text, messages, ending, render } = chat;
  const marks = makeMarks(messages);
  const spans: (TextSpan | null)[] = messages.map(() => null);
  const leftOut = new Set<number>();
  const tryMarks = (place: MarkPlace, only: number | null): void => {
    const marked = messages.map((message, index) =>
      only === null || only === index ? marks.mark(message, index, place) : message,
    );
    const rendered = attempt(() => render(marked, ending));
    if (rendered === null) return;
    const found = marks.unmark(rendered);
    // A mark keeps the white space before it from being cut off where the text is to be continued.
    const same = found.text === text || (ending === "continued" && found.text.trimEnd() === text);
    if (!same) return;
    for (const [index] of marked.entries())
      if (marked[index] !== messages[index] && !found.starts.has(index) && !found.ends.has(index))
        leftOut.add(index);
    for (const [index, { content }] of messages.entries())
      spans[index] ??= spanOf(
        text,
        content,
        cut(found.starts.get(index), text),
        cut(found.ends.get(index), text),
      );
  };
  const places: readonly MarkPlace[] = ["outside", "inside"];
  for (const place of places) if (spans.includes(null)) tryMarks(place, null);
  for (const [index] of messages.entries())
    for (const place of places)
      if (spans[index] === null && !leftOut.has(index)) tryMarks(place, index);
  let reached = 0;
  for (const [index, { content }] of messages.entries()) {
    if (!leftOut.has(index)) spans[index] ??= search(text, content, reached);
    reached = Math.max(reached, spans[index]?.end ?? 0);
  }
  return spans;
}

function cut(place: number | undefined, text: string): number | null {
  return place === undefined ? null : Math.min(place, text.length);
}

/** A content's span from its marks. Of a content of which the template left a part out, with one mark, as much as is there. */
function spanOf(
  text: string,
  content: string,
  start: number | null,
  end: number | null,
): TextSpan | null {
  if (start !== null && end !== null) return end < start ? null : { start, end };
  if (end !== null) {
    let length = 0;
    while (
      length < Math.min(content.length, end) &&
      content.at(-1 - length) === text[end - 1 - length]
    )
      length++;
    // A part's first white space is as likely the template's own.
    const kept =
      length === content.length
        ? length
        : content.slice(content.length - length).trimStart().length;
    return { start: end - kept, end };
  }
  if (start === null) return null;
  let length = 0;
  while (
    length < content.length &&
    start + length < text.length &&
    content[length] === text[start + length]
  )
    length++;
  const kept = length === content.length ? length : content.slice(0, length).trimEnd().length;
  return { start, end: start + kept };
}

/** The first place from `from` on with the words of a content; null for contents without words. */
function search(text: string, content: string, from: number): TextSpan | null {
  const words = content.trim();
  const start = words === "" ? -1 : text.indexOf(words, from);
  return start === -1 ? null : { start, end: start + words.length };
}
