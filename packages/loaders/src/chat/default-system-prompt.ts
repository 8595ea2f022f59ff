import { attempt } from "./conversation.ts";
import type { RenderedConversation } from "./find-contents.ts";
import type { TextSpan } from "./marks.ts";

/** A system prompt that a template put in by itself: where its turn ends in the text, and what it says. */
export interface DefaultSystemPrompt {
  readonly end: number;
  readonly prompt: string;
}

/**
 * Finds a system prompt that the template put in by itself. A template that does so has a place for a system prompt: with one of
 * ours in it the text is before + ours + after, and without it is before + something + after. Null where there is none.
 *
 * @param from where the first turn may begin, after BOS.
 * @param firstContent where the first message's content is.
 */
export function findDefaultSystemPrompt(
  { text, messages, ending, render }: RenderedConversation,
  from: number,
  firstContent: TextSpan | null,
): DefaultSystemPrompt | null {
  const [first] = messages;
  if (first === undefined || first.role === "system") return null;
  const mark = "\u0001system prompt\u0001";
  const system = { role: "system", content: mark };
  const given = attempt(() => render([system, ...messages], ending));
  const [before, after, ...rest] = given?.split(mark) ?? [];
  if (before === undefined || after === undefined || rest.length > 0) return null;
  const end = text.length - after.length;
  if (end < before.length || !text.startsWith(before) || !text.endsWith(after)) return null;
  // Where the first message's own words stand there, the template has only put the system prompt in their turn.
  if (end >= (firstContent?.start ?? text.length)) return null;
  const alone = attempt(() => render([system], "closed"));
  const closing =
    alone?.startsWith(before + mark) === true ? alone.slice(before.length + mark.length) : "";
  const closed = after.startsWith(closing) ? end + closing.length : end;
  // What opens a user's turn, with the role's name changed, opens the system's, unless it stands before our prompt alone.
  const opening = text
    .slice(closed, firstContent?.start ?? closed)
    .replaceAll(first.role, "system");
  const opened =
    opening !== "" && text.startsWith(opening, from) ? from + opening.length : before.length;
  return { end: closed, prompt: text.slice(Math.min(opened, before.length), end) };
}
