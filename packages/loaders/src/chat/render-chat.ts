import { ConfigError } from "@latentkit/core";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import { makeRender } from "./conversation.ts";
import type { ChatEnding, ChatMessage } from "./conversation.ts";
import { findTurns } from "./find-turns.ts";
import type { TextSpan } from "./marks.ts";
import { parseTemplate } from "./template.ts";
import type { RunTemplate } from "./template.ts";

export type { ChatMessage } from "./conversation.ts";

/** How a conversation is rendered. */
export interface RenderChatOptions {
  /** Whether to end with the beginning of the assistant's next turn. Off unless asked for. */
  readonly addGenerationPrompt?: boolean | undefined;
  /**
   * Whether the last message is to be continued: the text ends with its words, without what would close its turn. For an answer
   * whose beginning is given. Off unless asked for, and not together with `addGenerationPrompt`.
   */
  readonly continueFinalMessage?: boolean | undefined;
  /** The time that templates with a date see. Now, unless given: give one where the same texts must come out on another day. */
  readonly now?: Date | undefined;
}

/** A conversation as the model sees it. */
export interface RenderedChat {
  readonly text: string;
  readonly ids: Int32Array<ArrayBuffer>;
  /** UTF-16 offsets of each token in `text`. */
  readonly starts: Int32Array<ArrayBuffer>;
  readonly ends: Int32Array<ArrayBuffer>;
  /** For each token the role of the turn it belongs to, marks of the template included; null before the first turn (BOS). */
  readonly roles: readonly (string | null)[];
  /**
   * For each token the index of its message. -1 for what belongs to none of them (BOS, a system prompt that the template put in);
   * the number of messages for the generation prompt.
   */
  readonly turns: Int32Array<ArrayBuffer>;
  /** For each message where its content is in `text`, in UTF-16 units; null where the template does not write it out. */
  readonly contents: readonly (TextSpan | null)[];
  /** 1 for each token that holds a character of a message's content, 0 for what the template wrote. */
  readonly isContent: Uint8Array<ArrayBuffer>;
  /** Positions of the special tokens that the template wrote. Those that a message's own words spell are not among them. */
  readonly controlTokens: Int32Array<ArrayBuffer>;
  /** Whether the template put in a system prompt that was not among the messages. */
  readonly injectedSystemPrompt: boolean;
  /** What that system prompt says, white space as the template wrote it; null where there is none. */
  readonly defaultSystemPrompt: string | null;
}

/**
 * Renders a conversation by the tokenizer's chat template, as `apply_chat_template` of transformers does, and says for each token
 * whose turn it is in. A token over a border counts to the turn in which it begins.
 *
 * Throws {@link ConfigError}: `CHAT_TEMPLATE_MISSING`; `CHAT_EMPTY` for no messages; `CHAT_TEMPLATE` where the template refuses
 * the conversation, with what it says; `CHAT_CONTINUE` where there is nothing to continue.
 */
export function renderChat(
  tokenizer: Tokenizer,
  messages: readonly ChatMessage[],
  options: RenderChatOptions = {},
): RenderedChat {
  const ending = endingOf(messages, options);
  const run = templateOf(tokenizer);
  const { bos, eos, pad } = tokenizer.specialTokens;
  const bosText = bos === null ? "" : tokenizer.tokenText(bos);
  const specials = Object.fromEntries(
    Object.entries({ bos_token: bos, eos_token: eos, pad_token: pad }).flatMap(([name, id]) =>
      id === null ? [] : [[name, tokenizer.tokenText(id)]],
    ),
  );
  const render = makeRender({ run, specials, now: options.now ?? new Date() });
  const text = render(messages, ending);
  const { segments, contents, defaultSystemPrompt } = findTurns(
    { text, messages, ending, render },
    bosText,
  );
  const { ids, starts, ends } = tokenizer.encode(text);
  const roles: (string | null)[] = [];
  const turns = new Int32Array(ids.length);
  let segment = 0;
  for (let token = 0; token < ids.length; token++) {
    while (segment < segments.length - 1 && (starts[token] ?? 0) >= (segments[segment]?.end ?? 0))
      segment++;
    roles.push(segments[segment]?.role ?? null);
    turns[token] = segments[segment]?.turn ?? -1;
  }
  const isContent = findContentTokens(starts, ends, contents);
  const special = new Set(tokenizer.specialTokens.all.values());
  return {
    text,
    ids,
    starts,
    ends,
    roles,
    turns,
    contents,
    isContent,
    controlTokens: Int32Array.from(ids.keys()).filter(
      (token) => special.has(ids[token] ?? -1) && isContent[token] === 0,
    ),
    injectedSystemPrompt: defaultSystemPrompt !== null,
    defaultSystemPrompt,
  };
}

function endingOf(messages: readonly ChatMessage[], options: RenderChatOptions): ChatEnding {
  if (messages.length === 0) {
    throw new ConfigError({
      code: "CHAT_EMPTY",
      message: "there are no messages",
      fix: "give at least one message with a role and content",
    });
  }
  const { addGenerationPrompt = false, continueFinalMessage = false } = options;
  if (addGenerationPrompt && continueFinalMessage) {
    throw new ConfigError({
      code: "CHAT_CONTINUE",
      message:
        "addGenerationPrompt would begin a new turn, continueFinalMessage would go on with the last: both were given",
      fix: "give one of the two",
    });
  }
  return continueFinalMessage ? "continued" : addGenerationPrompt ? "generation-prompt" : "closed";
}

function findContentTokens(
  starts: Int32Array,
  ends: Int32Array,
  contents: readonly (TextSpan | null)[],
): Uint8Array<ArrayBuffer> {
  const isContent = new Uint8Array(starts.length);
  const spans = contents.filter((span) => span !== null).sort((a, b) => a.start - b.start);
  let at = 0;
  for (let token = 0; token < starts.length; token++) {
    while (at < spans.length && (spans[at]?.end ?? 0) <= (starts[token] ?? 0)) at++;
    if ((ends[token] ?? 0) > (spans[at]?.start ?? Infinity)) isContent[token] = 1;
  }
  return isContent;
}

const templates = new WeakMap<Tokenizer, RunTemplate>();

function templateOf(tokenizer: Tokenizer): RunTemplate {
  const known = templates.get(tokenizer);
  if (known !== undefined) return known;
  if (tokenizer.chatTemplate === null) {
    throw new ConfigError({
      code: "CHAT_TEMPLATE_MISSING",
      message:
        "the tokenizer has no chat template: this is a base model, or its template was left out",
      fix: "give plain text, or use an instruction-tuned model",
    });
  }
  const run = parseTemplate(tokenizer.chatTemplate);
  templates.set(tokenizer, run);
  return run;
}
