import { Template } from "@huggingface/jinja";
import { ConfigError } from "@latentkit/core";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import { findSegments } from "./find-segments.ts";
import type { RenderMessages } from "./find-segments.ts";

/** One turn of a conversation. */
export interface ChatMessage {
  readonly role: string;
  readonly content: string;
}

/** How a conversation is rendered. */
export interface RenderChatOptions {
  /** Whether to end with the beginning of the assistant's next turn. Off unless asked for. */
  readonly addGenerationPrompt?: boolean | undefined;
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
  /** Whether the template put in a system prompt that was not among the messages. */
  readonly injectedSystemPrompt: boolean;
}

/**
 * Renders a conversation by the tokenizer's chat template, as `apply_chat_template` of transformers does, and says for each token
 * whose turn it is in. A token over a border counts to the turn in which it begins.
 *
 * Throws {@link ConfigError}: `CHAT_TEMPLATE_MISSING`; `CHAT_EMPTY` for no messages; `CHAT_TEMPLATE` where the template refuses
 * the conversation, with what it says.
 */
export function renderChat(
  tokenizer: Tokenizer,
  messages: readonly ChatMessage[],
  options: RenderChatOptions = {},
): RenderedChat {
  if (messages.length === 0) {
    throw new ConfigError({
      code: "CHAT_EMPTY",
      message: "there are no messages",
      fix: "give at least one message with a role and content",
    });
  }
  const render = makeRender(tokenizer);
  const addGenerationPrompt = options.addGenerationPrompt === true;
  const text = render(messages, addGenerationPrompt);
  const bosText = tokenText(tokenizer, tokenizer.specialTokens.bos);
  const { segments, injectedSystemPrompt } = findSegments({
    text,
    messages,
    addGenerationPrompt,
    bosText,
    render,
  });
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
  return { text, ids, starts, ends, roles, turns, injectedSystemPrompt };
}

const templates = new WeakMap<Tokenizer, Template>();

function makeRender(tokenizer: Tokenizer): RenderMessages {
  const template = templates.get(tokenizer) ?? parseTemplate(tokenizer.chatTemplate);
  templates.set(tokenizer, template);
  const { bos, eos, pad } = tokenizer.specialTokens;
  const specials = {
    bos_token: tokenText(tokenizer, bos),
    eos_token: tokenText(tokenizer, eos),
    pad_token: tokenText(tokenizer, pad),
  };
  return (messages, addGenerationPrompt) => {
    try {
      return template.render({
        ...specials,
        messages: messages.map(({ role, content }) => ({ role, content })),
        add_generation_prompt: addGenerationPrompt,
      });
    } catch (cause) {
      throw new ConfigError({
        code: "CHAT_TEMPLATE",
        message: `the chat template refused the conversation: ${cause instanceof Error ? cause.message : String(cause)}`,
        fix: "change roles or their order to what the model's template allows",
        cause,
      });
    }
  };
}

function parseTemplate(source: string | null): Template {
  if (source === null) {
    throw new ConfigError({
      code: "CHAT_TEMPLATE_MISSING",
      message:
        "the tokenizer has no chat template: this is a base model, or its template was left out",
      fix: "give plain text, or use an instruction-tuned model",
    });
  }
  try {
    return new Template(source);
  } catch (cause) {
    throw new ConfigError({
      code: "CHAT_TEMPLATE",
      message: `the chat template cannot be parsed: ${cause instanceof Error ? cause.message : String(cause)}`,
      fix: "get the tokenizer of this model again",
      cause,
    });
  }
}

function tokenText(tokenizer: Tokenizer, id: number | null): string {
  return id === null ? "" : tokenizer.tokenText(id);
}
