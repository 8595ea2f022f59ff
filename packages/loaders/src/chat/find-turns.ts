import { attempt } from "./conversation.ts";
import { findContents } from "./find-contents.ts";
import type { RenderedConversation } from "./find-contents.ts";
import { findDefaultSystemPrompt } from "./default-system-prompt.ts";
import { makeMarks } from "./marks.ts";
import type { TextSpan } from "./marks.ts";

/** A stretch of the rendered text that belongs to one turn. It begins where the one before ends. */
export interface Segment {
  readonly end: number;
  readonly role: string | null;
  readonly turn: number;
}

/** Which stretches of a text belong to which turn, and where the contents are. */
export interface Turns {
  /** In the order of the text. */
  readonly segments: readonly Segment[];
  readonly contents: readonly (TextSpan | null)[];
  /** What the template says as the system by itself, or null. */
  readonly defaultSystemPrompt: string | null;
}

/**
 * Which stretch of a rendered conversation belongs to which turn. Contents are found by marks; a turn reaches from the end of the one
 * before to the end of what closes it. That end is where the conversation up to this turn ends by itself, if the whole text begins
 * with it; else, after as much of the text as follows the content there; else, with the content.
 *
 * @param bosText what the tokenizer calls BOS, or nothing.
 */
export function findTurns(chat: RenderedConversation, bosText: string): Turns {
  const { text, messages, ending, render } = chat;
  const contents = findContents(chat);
  const segments: Segment[] = [];
  if (bosText !== "" && text.startsWith(bosText) && !isTurnMark(chat, bosText))
    segments.push({ end: bosText.length, role: null, turn: -1 });
  const bosEnd = segments[0]?.end ?? 0;
  const injected = findDefaultSystemPrompt(chat, bosEnd, contents[0] ?? null);
  if (injected !== null) segments.push({ end: injected.end, role: "system", turn: -1 });
  const closed =
    ending === "generation-prompt" ? (attempt(() => render(messages, "closed")) ?? text) : text;
  const allClosed = text.startsWith(closed) ? closed.length : text.length;

  // Some templates move a system prompt into a later turn: the order is that of the text.
  const anchors = anchorsOf(contents);
  const order = [...messages.keys()].sort((a, b) => (anchors[a] ?? 0) - (anchors[b] ?? 0) || a - b);
  let reached = segments.at(-1)?.end ?? 0;
  for (const [place, turn] of order.entries()) {
    const next = order[place + 1];
    const limit = next === undefined ? allClosed : (anchors[next] ?? allClosed);
    const from = Math.max(reached, contents[turn]?.end ?? reached);
    reached = next === undefined ? allClosed : findEnd(chat, turn, from, Math.max(from, limit));
    segments.push({ end: reached, role: messages[turn]?.role ?? null, turn });
  }
  if (ending === "generation-prompt" && reached < text.length)
    segments.push({ end: text.length, role: "assistant", turn: messages.length });
  return { segments, contents, defaultSystemPrompt: injected?.prompt ?? null };
}

/** Where each content begins; for those that are not in the text, where what was said before ends. */
function anchorsOf(contents: Turns["contents"]): readonly number[] {
  let reached = 0;
  return contents.map((span) => {
    const anchor = span?.start ?? reached;
    reached = Math.max(reached, span?.end ?? 0);
    return anchor;
  });
}

/** Where a turn ends, between the end of its content and `limit`. */
function findEnd(
  { text, messages, render }: RenderedConversation,
  turn: number,
  from: number,
  limit: number,
): number {
  const marks = makeMarks(messages);
  const upToHere = messages.slice(0, turn + 1);
  const plain = attempt(() => render(upToHere, "closed"));
  if (plain !== null && plain.length >= from && plain.length <= limit && text.startsWith(plain))
    return plain.length;
  for (const place of ["outside", "inside"] as const) {
    const marked = upToHere.map((message, index) =>
      index === turn ? marks.mark(message, index, place) : message,
    );
    const rendered = attempt(() => render(marked, "closed"));
    if (rendered === null) continue;
    const alone = marks.unmark(rendered);
    const end = alone.ends.get(turn);
    if (end === undefined) continue;
    const closing = alone.text.slice(end);
    if (from + closing.length <= limit && text.startsWith(closing, from))
      return from + closing.length;
  }
  return from;
}

/**
 * Whether what looks like BOS at the start is the mark that opens every turn, as `<|im_start|>` is in ChatML, and so part of the
 * first turn: then a turn more has one more of it.
 */
function isTurnMark({ render }: RenderedConversation, bosText: string): boolean {
  const user = { role: "user", content: "" };
  const one = attempt(() => render([user], "closed"));
  const two = attempt(() => render([user, { role: "assistant", content: "" }], "closed"));
  return one !== null && two !== null && two.split(bosText).length > one.split(bosText).length;
}
