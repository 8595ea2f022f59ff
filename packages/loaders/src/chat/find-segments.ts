import { LatentkitError } from "@latentkit/core";
import type { ChatMessage } from "./render-chat.ts";

/** Renders messages by a template; throws a Latentkit error where the template refuses. */
export type RenderMessages = (
  messages: readonly ChatMessage[],
  addGenerationPrompt: boolean,
) => string;

/** A stretch of the rendered text that belongs to one turn. It begins where the one before ends. */
export interface Segment {
  readonly end: number;
  readonly role: string | null;
  readonly turn: number;
}

/** A conversation and how it came out. */
export interface RenderedConversation {
  readonly text: string;
  readonly messages: readonly ChatMessage[];
  readonly addGenerationPrompt: boolean;
  /** What the tokenizer calls BOS, or nothing. */
  readonly bosText: string;
  readonly render: RenderMessages;
}

/**
 * Which stretch of a rendered conversation belongs to which turn. Templates are programs, so this is found by rendering: the
 * first k messages alone give the text up to the end of turn k, wherever the whole text begins with it. Where a template does not
 * work that way (it rewrites early turns, or refuses part of a conversation), a turn ends with its content.
 */
export function findSegments(chat: RenderedConversation): {
  readonly segments: readonly Segment[];
  readonly injectedSystemPrompt: boolean;
} {
  const { text, messages, bosText, render } = chat;
  const segments: Segment[] = [];
  if (bosText !== "" && text.startsWith(bosText) && !isTurnMark(chat))
    segments.push({ end: bosText.length, role: null, turn: -1 });
  const injectedEnd = findInjectedSystemPrompt(chat);
  if (injectedEnd !== null) segments.push({ end: injectedEnd, role: "system", turn: -1 });
  let reached = segments.at(-1)?.end ?? 0;
  for (const [turn, { role, content }] of messages.entries()) {
    reached = findEnd(
      text,
      reached,
      content.trim(),
      attempt(() => render(messages.slice(0, turn + 1), false)),
    );
    segments.push({ end: reached, role, turn });
  }
  if (chat.addGenerationPrompt)
    segments.push({ end: text.length, role: "assistant", turn: messages.length });
  return { segments, injectedSystemPrompt: injectedEnd !== null };
}

/** Where a turn ends that begins at `from`, given its words and what the conversation up to and with it renders to by itself. */
function findEnd(text: string, from: number, words: string, upToHere: string | null): number {
  const end =
    upToHere !== null && upToHere.length >= from && text.startsWith(upToHere)
      ? upToHere.length
      : null;
  if (end !== null && text.slice(from, end).includes(words)) return end;
  const at = text.indexOf(words, from);
  return at === -1 ? (end ?? from) : at + words.length;
}

/**
 * Whether what looks like BOS at the start is the mark that opens every turn, as `<|im_start|>` is in ChatML, and so part of the
 * first turn: then a turn more has one more of it.
 */
function isTurnMark({ bosText, render }: RenderedConversation): boolean {
  const user = { role: "user", content: "" };
  const one = attempt(() => render([user], false));
  const two = attempt(() => render([user, { role: "assistant", content: "" }], false));
  return one !== null && two !== null && two.split(bosText).length > one.split(bosText).length;
}

/**
 * Where a system prompt ends that the template put in by itself, or null. A template that does so has a place for a system
 * prompt: with one of ours in it the text is before + ours + after, and without it is before + something + after.
 */
function findInjectedSystemPrompt({
  text,
  messages,
  addGenerationPrompt,
  render,
}: RenderedConversation): number | null {
  const [first] = messages;
  if (first === undefined || first.role === "system") return null;
  const mark = "\u0001system prompt\u0001";
  const given = attempt(() =>
    render([{ role: "system", content: mark }, ...messages], addGenerationPrompt),
  );
  const [before, after, ...rest] = given?.split(mark) ?? [];
  if (before === undefined || after === undefined || rest.length > 0) return null;
  if (
    text.length < before.length + after.length ||
    !text.startsWith(before) ||
    !text.endsWith(after)
  )
    return null;
  const injected = text.length - after.length;
  // Where the user's own words stand at once after `before`, the template has only put the system prompt in their turn.
  const userMark = "\u0001user content\u0001";
  const userAt =
    attempt(() =>
      render([{ ...first, content: userMark }, ...messages.slice(1)], addGenerationPrompt),
    )?.indexOf(userMark) ?? -1;
  if (injected >= userAt) return null;
  const alone = attempt(() => render([{ role: "system", content: mark }], false));
  const closing =
    alone?.startsWith(before + mark) === true ? alone.slice(before.length + mark.length) : "";
  return after.startsWith(closing) ? injected + closing.length : injected;
}

/** What a rendering gives, or null where the template refuses. */
function attempt(render: () => string): string | null {
  try {
    return render();
  } catch (error) {
    if (LatentkitError.isInstance(error)) return null;
    throw error;
  }
}
