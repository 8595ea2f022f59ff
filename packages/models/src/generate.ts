import {
  ConfigError,
  type LongCallOptions,
  Random,
  ShapeError,
  throwIfAborted,
  yieldToEventLoop,
} from "@latentkit/core";
import { type ChatMessage, renderChat, type Tokenizer } from "@latentkit/loaders";
import type { SiteEdit } from "./hook-run.ts";
import { IncrementalText } from "./incremental-text.ts";
import type { KvCache } from "./kv-cache.ts";
import type { LanguageModel } from "./language-model.ts";
import { checkSampling, sampleToken, type SamplingOptions } from "./sampling.ts";

/** What to continue and how. Exactly one of `prompt`, `messages` and `tokens`. */
export interface GenerateOptions extends SamplingOptions, LongCallOptions {
  /** Plain text, encoded without special tokens. */
  readonly prompt?: string | undefined;
  /** A conversation, rendered by the tokenizer's chat template up to where the assistant speaks. */
  readonly messages?: readonly ChatMessage[] | undefined;
  /** Token ids as they are. */
  readonly tokens?: ArrayLike<number> | undefined;
  /** New tokens at most; 256 if left out. The context size is a limit as well. */
  readonly maxTokens?: number | undefined;
  /** Seed of the draws; 0 if left out. */
  readonly seed?: number | undefined;
  /** Tokens that end the text; the model's and the tokenizer's end tokens if left out. */
  readonly stopTokens?: readonly number[] | undefined;
  /** Goes on after stop tokens. */
  readonly ignoreEos?: boolean | undefined;
  /** Changes to the forward pass, of the prompt and of every new token. */
  readonly edits?: readonly SiteEdit[] | undefined;
}

/** One new token, as it comes. */
export interface GeneratedToken {
  /** 0 for the first new one. */
  readonly index: number;
  readonly token: number;
  /**
   * Text that became certain with this token, never ending inside a character; all pieces together are the text. Empty for special
   * tokens, and without a tokenizer.
   */
  readonly text: string;
  /** Natural logarithm of the probability that the model gave it (temperature 1, no cut-offs). */
  readonly logProbability: number;
  /** Null but for the last: `"stop"` for a stop token, `"length"` at `maxTokens` or the end of the context. */
  readonly finish: "stop" | "length" | null;
}

/** How long draws may go on before timers and signals get their turn. */
const patienceMs = 30;

/** See `LanguageModel.generate`. */
export async function* generate(
  model: LanguageModel,
  options: GenerateOptions,
): AsyncGenerator<GeneratedToken, void, undefined> {
  checkSampling(options);
  const prompt = promptTokens(model, options);
  const limit = tokenLimit(model, prompt.length, options.maxTokens ?? 256);
  const stops = new Set(options.ignoreEos === true ? [] : (options.stopTokens ?? endTokens(model)));
  const random = new Random(options.seed ?? 0);
  const text = model.tokenizer === null ? null : new IncrementalText(model.tokenizer);
  using cache = model.createCache({ capacity: prompt.length + limit });

  let input: ArrayLike<number> = prompt;
  let rested = performance.now();
  for (let index = 0; index < limit; index++) {
    if (performance.now() - rested > patienceMs) {
      await yieldToEventLoop();
      rested = performance.now();
    }
    throwIfAborted(options.signal, `${index} tokens were generated`);
    const logits = await nextLogits(model, input, cache, options.edits);
    const { token, logProbability } = sampleToken(logits, options, random);
    const finish = stops.has(token) ? "stop" : index + 1 === limit ? "length" : null;
    options.onProgress?.({ stage: "generate", done: index + 1, total: limit, unit: "tokens" });
    const piece = text === null ? "" : text.push(token) + (finish === null ? "" : text.flush());
    yield { index, token, text: piece, logProbability, finish };
    if (finish !== null) return;
    input = [token];
  }
}

async function nextLogits(
  model: LanguageModel,
  input: ArrayLike<number>,
  cache: KvCache,
  edits: readonly SiteEdit[] | undefined,
): Promise<Float32Array> {
  using result = model.run([input], { cache, edits, logits: "last" });
  // Never null: logits were asked for.
  return result.logits === null ? new Float32Array() : await result.logits.floats();
}

function promptTokens(
  model: LanguageModel,
  { prompt, messages, tokens }: GenerateOptions,
): ArrayLike<number> {
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
      : chatTokens(tokenizerOf(model), messages));
  if (ids.length > 0) return ids;
  throw new ConfigError({
    code: "PROMPT_INVALID",
    message: "the prompt has no tokens",
    fix: "give a prompt of at least one token, for example the model's bos token",
  });
}

function chatTokens(tokenizer: Tokenizer, messages: readonly ChatMessage[]): ArrayLike<number> {
  return renderChat(tokenizer, messages, { addGenerationPrompt: true }).ids;
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

function tokenLimit(model: LanguageModel, promptLength: number, maxTokens: number): number {
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

function endTokens(model: LanguageModel): readonly number[] {
  const eos = model.tokenizer?.specialTokens.eos ?? null;
  return eos === null ? model.config.endTokens : [...model.config.endTokens, eos];
}
