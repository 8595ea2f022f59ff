import type { Tokenizer } from "@latentkit/loaders";
import { chatPromptTokens, type LanguageModel } from "@latentkit/models";
import {
  type ChatRequest,
  chatRequestSchema,
  type CompletionRequest,
  completionRequestSchema,
} from "../schema/requests.ts";
import type { AnswerRequest } from "./answer.ts";
import { chatLogprobs, completionLogprobs } from "./choices.ts";
import { generationOptions } from "./generation-options.ts";

/** The model that is served, and under which name. */
export interface Served {
  readonly model: LanguageModel;
  readonly name: string;
  readonly tokenizer: Tokenizer;
}

/** A request that has been understood. */
export interface Understood {
  readonly answer: AnswerRequest;
  readonly stream: boolean;
}

/**
 * `POST /v1/chat/completions`. Where the last message is the assistant's, the answer is what comes after its words. Throws ZodError,
 * ConfigError, and what the chat template throws.
 */
export function chatCompletion(served: Served, body: unknown): Understood {
  const request = chatRequestSchema.parse(body);
  const { tokenizer } = served;
  const messages = request.messages.map(({ role, content }) => ({
    role,
    content: typeof content === "string" ? content : content.map(({ text }) => text).join(""),
  }));
  const withLogprobs = request.logprobs === true;
  const logprobs = (tokens: Parameters<typeof chatLogprobs>[1][]) =>
    withLogprobs ? { content: tokens.map((token) => chatLogprobs(tokenizer, token)) } : null;
  return {
    stream: request.stream ?? false,
    answer: {
      ...served,
      prompts: [Array.from(chatPromptTokens(tokenizer, messages))],
      options: {
        ...generationOptions(served.model, request),
        maxTokens: chatLimit(request),
        alternatives: withLogprobs ? (request.top_logprobs ?? 0) : 0,
      },
      includeUsage: request.stream_options?.include_usage ?? false,
      shape: {
        object: "chat.completion",
        chunkObject: "chat.completion.chunk",
        opening: () => ({ role: "assistant", content: "" }),
        choice: (content, tokens) => ({
          message: { role: "assistant", content, refusal: null },
          logprobs: logprobs([...tokens]),
        }),
        piece: (token) => ({ delta: { content: token.text }, logprobs: logprobs([token]) }),
      },
    },
  };
}

/** Without a limit an answer may fill the context, as OpenAI's may. */
function chatLimit(request: ChatRequest): number {
  return request.max_completion_tokens ?? request.max_tokens ?? Number.MAX_SAFE_INTEGER;
}

/** `POST /v1/completions`. Throws ZodError and ConfigError. */
export function textCompletion(served: Served, body: unknown): Understood {
  const request = completionRequestSchema.parse(body);
  const { tokenizer } = served;
  const count = request.logprobs ?? null;
  const logprobs = (tokens: Parameters<typeof completionLogprobs>[1], offset: number) =>
    count === null ? null : completionLogprobs(tokenizer, tokens, offset);
  return {
    stream: request.stream ?? false,
    answer: {
      ...served,
      prompts: promptRows(request, tokenizer),
      options: {
        ...generationOptions(served.model, request),
        // OpenAI's default for text.
        maxTokens: request.max_tokens ?? 16,
        alternatives: count ?? 0,
      },
      includeUsage: request.stream_options?.include_usage ?? false,
      shape: {
        object: "text_completion",
        chunkObject: "text_completion",
        opening: null,
        choice: (text, tokens) => ({ text, logprobs: logprobs(tokens, 0) }),
        piece: (token, offset) => ({ text: token.text, logprobs: logprobs([token], offset) }),
      },
    },
  };
}

/** Text or tokens, one prompt or several. */
function promptRows(
  { prompt }: CompletionRequest,
  tokenizer: Tokenizer,
): readonly (readonly number[])[] {
  if (typeof prompt === "string") return [encode(tokenizer, prompt)];
  const rows: (readonly number[])[] = [];
  const single: number[] = [];
  for (const item of prompt) {
    if (typeof item === "string") rows.push(encode(tokenizer, item));
    else if (typeof item === "number") single.push(item);
    else rows.push(item);
  }
  return single.length > 0 ? [single] : rows;
}

function encode(tokenizer: Tokenizer, text: string): number[] {
  return Array.from(tokenizer.encode(text).ids);
}
