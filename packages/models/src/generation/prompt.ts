import { ConfigError, ShapeError } from "@latentkit/core";
import { type ChatMessage, renderChat, type Tokenizer } from "@latentkit/loaders";
import type { LanguageModel } from "../language-model.ts";

/** A text to continue: exactly one of the three. */
export interface Prompt {
  /** Plain text, encoded without special tokens. */
  readonly prompt?: string | undefined;
  /** A conversation, see {@link chatPromptTokens}. */
  readonly messages?: readonly ChatMessage[] | undefined;
  /** Token ids as they are. */
  readonly tokens?: ArrayLike<number> | undefined;
}

/** Several prompts, to go on from together; they may have different lengths. */
export interface Prompts {
  /** Each a text, or a prompt of any kind; in place of a single one. */
  readonly prompts?: readonly (string | Prompt)[] | undefined;
}

/**
 * The tokens of each prompt.
 *
 * @throws ConfigError `PROMPT_INVALID`, `TOKENIZER_MISSING`; what the chat template throws
 */
export function allPromptTokens(
  model: LanguageModel,
  { prompts, prompt, messages, tokens }: Prompt & Prompts,
): readonly (readonly number[])[] {
  if (prompts === undefined) return [promptTokens(model, { prompt, messages, tokens })];
  const alone = [prompt, messages, tokens].some((value) => value !== undefined);
  if (alone || prompts.length === 0) {
    throw new ConfigError({
      code: "PROMPT_INVALID",
      message: alone
        ? "prompts were given, and a single prompt beside them"
        : "prompts is an empty list",
      fix: "give a single prompt, or at least one in prompts",
    });
  }
  return prompts.map((one) => promptTokens(model, typeof one === "string" ? { prompt: one } : one));
}

/** @throws ConfigError `PROMPT_INVALID`, `TOKENIZER_MISSING`; what the chat template throws */
export function promptTokens(
  model: LanguageModel,
  { prompt, messages, tokens }: Prompt,
): readonly number[] {
  const given = [prompt, messages, tokens].filter((value) => value !== undefined);
  if (given.length !== 1) {
    throw new ConfigError({
      code: "PROMPT_INVALID",
      message: `${given.length} of prompt, messages and tokens were given`,
      fix: "give exactly one of them",
    });
  }
  const ids =
    tokens ??
    (messages === undefined
      ? tokenizerOf(model).encode(prompt ?? "").ids
      : chatPromptTokens(tokenizerOf(model), messages));
  if (ids.length > 0) return Array.from(ids);
  throw new ConfigError({
    code: "PROMPT_INVALID",
    message: "the prompt has no tokens",
    fix: "give a prompt of at least one token, for example the model's bos token",
  });
}

/**
 * A conversation by the tokenizer's chat template, up to where the assistant goes on: at the beginning of its next turn, or, where the
 * last message is the assistant's, at the end of its words (a prefilled answer, `continue_final_message` of transformers).
 *
 * @throws ConfigError as `renderChat`
 */
export function chatPromptTokens(
  tokenizer: Tokenizer,
  messages: readonly ChatMessage[],
): Int32Array<ArrayBuffer> {
  const prefilled = messages.at(-1)?.role === "assistant";
  return renderChat(
    tokenizer,
    messages,
    prefilled ? { continueFinalMessage: true } : { addGenerationPrompt: true },
  ).ids;
}

function tokenizerOf(model: LanguageModel): Tokenizer {
  if (model.tokenizer !== null) return model.tokenizer;
  throw new ConfigError({
    code: "TOKENIZER_MISSING",
    message: `the model ${model.name} has no tokenizer, so text cannot be turned into tokens`,
    fix: "give `tokens`, or put tokenizer.json beside the weights",
    where: model.name,
  });
}

/** New tokens that the context has room for, at most `maxTokens`. @throws ConfigError `SAMPLING_INVALID`; ShapeError `CONTEXT_OVERFLOW` */
export function tokenLimit(model: LanguageModel, promptLength: number, maxTokens: number): number {
  if (!Number.isInteger(maxTokens) || maxTokens < 1) {
    throw new ConfigError({
      code: "SAMPLING_INVALID",
      message: `maxTokens is ${maxTokens}`,
      fix: "give a positive integer",
    });
  }
  const room = model.config.contextSize - promptLength;
  if (room > 0) return Math.min(maxTokens, room);
  throw new ShapeError({
    code: "CONTEXT_OVERFLOW",
    message: `a prompt of ${promptLength} tokens leaves no room in the model's context of ${model.config.contextSize}`,
    fix: `give a prompt of at most ${model.config.contextSize - 1} tokens`,
  });
}

/** Tokens at which the model's texts end. */
export function endTokens(model: LanguageModel): readonly number[] {
  const eos = model.tokenizer?.specialTokens.eos ?? null;
  return eos === null ? model.config.endTokens : [...model.config.endTokens, eos];
}
