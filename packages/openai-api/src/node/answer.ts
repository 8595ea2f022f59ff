import { hashBytes, type Tokenizer } from "@latentkit/loaders";
import type { GeneratedToken, GenerateOptions, LanguageModel } from "@latentkit/models";
import type { EventStream } from "./event-stream.ts";

/** What differs between chats and text completions. */
export interface AnswerShape {
  /** `"chat.completion"` or `"text_completion"`, and that of a piece. */
  readonly object: string;
  readonly chunkObject: string;
  /** The first piece of a choice, before any text; null for none. */
  readonly opening: (() => unknown) | null;
  /** A whole choice, without its index and finish_reason. */
  readonly choice: (text: string, tokens: readonly GeneratedToken[]) => object;
  /** One token's piece of a choice. @param offset code units of the choice's text before it */
  readonly piece: (token: GeneratedToken, offset: number) => object;
}

/** A request, ready to be generated. */
export interface AnswerRequest {
  readonly model: LanguageModel;
  readonly name: string;
  readonly tokenizer: Tokenizer;
  /** Prompts, each of which gets its own choices. */
  readonly prompts: readonly (readonly number[])[];
  readonly options: Omit<GenerateOptions, "prompt" | "messages" | "tokens">;
  readonly shape: AnswerShape;
  readonly includeUsage: boolean;
}

/** The envelope of all objects of one answer. */
interface Envelope {
  readonly id: string;
  readonly created: number;
  readonly model: string;
  /** Weights and seed that made it, so that an answer can be made again. */
  readonly system_fingerprint: string;
}

function envelopeOf({ model, name, options }: AnswerRequest): Envelope {
  const { weightsHash } = model.identity();
  return {
    id: `lk-${crypto.randomUUID()}`,
    created: Math.floor(Date.now() / 1000),
    model: name,
    // Of all of it: what was done to the weights, an adapter for example, stands at its end.
    system_fingerprint: `${hashBytes(new TextEncoder().encode(weightsHash)).slice(0, 24)}-seed${options.seed ?? 0}`,
  };
}

/** Tokens with the index of the choice that each belongs to. */
async function* generateAll({ model, prompts, options }: AnswerRequest) {
  const samples = options.samples ?? 1;
  for (const [index, tokens] of prompts.entries())
    for await (const token of model.generate({ ...options, tokens }))
      yield { choice: index * samples + token.sample, token };
}

function usageOf({ prompts }: AnswerRequest, completionTokens: number) {
  const promptTokens = prompts.reduce((sum, { length }) => sum + length, 0);
  return {
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    total_tokens: promptTokens + completionTokens,
  };
}

/** The whole answer at once. */
export async function wholeAnswer(request: AnswerRequest): Promise<object> {
  const { prompts, options, shape } = request;
  const all = Array.from(
    { length: prompts.length * (options.samples ?? 1) },
    (): GeneratedToken[] => [],
  );
  for await (const { choice, token } of generateAll(request)) all[choice]?.push(token);
  return {
    ...envelopeOf(request),
    object: shape.object,
    choices: all.map((tokens, index) => ({
      index,
      ...shape.choice(tokens.map(({ text }) => text).join(""), tokens),
      finish_reason: tokens.at(-1)?.finish ?? "length",
    })),
    usage: usageOf(
      request,
      all.reduce((sum, { length }) => sum + length, 0),
    ),
  };
}

/** The answer token by token. */
export async function streamAnswer(request: AnswerRequest, stream: EventStream): Promise<void> {
  const { prompts, options, shape, includeUsage } = request;
  const envelope = { ...envelopeOf(request), object: shape.chunkObject };
  const send = (choices: readonly object[], rest: object = {}): Promise<void> =>
    stream.send({ ...envelope, choices, ...(includeUsage ? { usage: null } : {}), ...rest });
  const lengths = Array.from({ length: prompts.length * (options.samples ?? 1) }, () => 0);
  let tokens = 0;
  if (shape.opening !== null) {
    for (const index of lengths.keys())
      await send([{ index, delta: shape.opening(), logprobs: null, finish_reason: null }]);
  }
  for await (const { choice, token } of generateAll(request)) {
    tokens++;
    const offset = lengths[choice] ?? 0;
    lengths[choice] = offset + token.text.length;
    await send([{ index: choice, ...shape.piece(token, offset), finish_reason: token.finish }]);
  }
  if (includeUsage) await send([], { usage: usageOf(request, tokens) });
  await stream.end();
}
