import { ConfigError, LatentkitError } from "@latentkit/core";
import { pythonStrip } from "./python-strip.ts";
import type { RunTemplate } from "./template.ts";

/** One turn of a conversation. */
export interface ChatMessage {
  readonly role: string;
  readonly content: string;
}

/** How a conversation ends. */
export type ChatEnding = "closed" | "generation-prompt" | "continued";

/** Renders conversations by one template; throws a Latentkit error where it refuses. */
export type RenderMessages = (messages: readonly ChatMessage[], ending: ChatEnding) => string;

/** What templates see beside the conversation. */
export interface TemplateContext {
  readonly run: RunTemplate;
  /** `bos_token` and the like. */
  readonly specials: Readonly<Record<string, string>>;
  readonly now: Date;
}

// The reference's own mark: what stands before it is the conversation that is to be continued.
const tag = "CONTINUE_FINAL_MESSAGE_TAG ";

/** Renders as `apply_chat_template` does, with its three endings. */
export function makeRender({ run, specials, now }: TemplateContext): RenderMessages {
  const render = (messages: readonly ChatMessage[], addGenerationPrompt: boolean): string =>
    run(
      {
        ...specials,
        messages: messages.map(({ role, content }) => ({ role, content })),
        tools: null,
        documents: null,
        add_generation_prompt: addGenerationPrompt,
      },
      now,
    );
  return (messages, ending) => {
    const last = messages.at(-1);
    if (ending !== "continued" || last === undefined)
      return render(messages, ending === "generation-prompt");
    const tagged = { ...last, content: last.content + tag };
    const text = render([...messages.slice(0, -1), tagged], false);
    const at = text.lastIndexOf(tag.trim());
    if (at === -1 || !text.includes(pythonStrip(last.content, "strip", null))) {
      throw new ConfigError({
        code: "CHAT_CONTINUE",
        message:
          "the chat template leaves out the words of the last message, so there is nothing to continue",
        fix: "end with an assistant's message that the template writes out, or do not continue the last message",
      });
    }
    // Where the template took the space after the mark, it would also have taken the one after the message.
    return text.startsWith(tag, at)
      ? text.slice(0, at)
      : pythonStrip(text.slice(0, at), "rstrip", null);
  };
}

/** What a rendering gives, or null where the template refuses. */
export function attempt(render: () => string): string | null {
  try {
    return render();
  } catch (error) {
    if (LatentkitError.isInstance(error)) return null;
    throw error;
  }
}
