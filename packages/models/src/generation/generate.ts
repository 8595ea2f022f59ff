import {
  ConfigError,
  type LongCallOptions,
  Random,
  throwIfAborted,
  yieldToEventLoop,
} from "@latentkit/core";
import type { SiteEdit } from "../hook-run.ts";
import type { KvCache } from "../kv-cache.ts";
import type { LanguageModel } from "../language-model.ts";
import { Continuation, type GeneratedToken } from "./continuation.ts";
import { type LogitsProcessor, repetitionPenalty } from "./logits-processors.ts";
import { endTokens, type Prompt, promptTokens, tokenLimit } from "./prompt.ts";
import { checkSampling, type SamplingOptions } from "./sampling.ts";

/** What to continue and how. */
export interface GenerateOptions extends Prompt, SamplingOptions, LongCallOptions {
  /** New tokens at most; 256 if left out. The context size is a limit as well. */
  readonly maxTokens?: number | undefined;
  /** Ways to go on, all from one reading of the prompt; 1 if left out. */
  readonly samples?: number | undefined;
  /** Seed of the draws; 0 if left out. Sample i draws from stream i of it, however many samples there are. */
  readonly seed?: number | undefined;
  /** Tokens that end the text; the model's and the tokenizer's end tokens if left out. */
  readonly stopTokens?: readonly number[] | undefined;
  /** Strings that end the text and are no part of it; none if left out. They need a tokenizer. */
  readonly stopStrings?: readonly string[] | undefined;
  /** Goes on after stop tokens. */
  readonly ignoreEos?: boolean | undefined;
  /** Divides or multiplies logits of tokens that the text already has, see {@link repetitionPenalty}; before the processors. */
  readonly repetitionPenalty?: number | undefined;
  /** Changes to the logits before a token is chosen, in order. */
  readonly processors?: readonly LogitsProcessor[] | undefined;
  /** How many of the most probable tokens to report beside each chosen one; none if left out. */
  readonly alternatives?: number | undefined;
  /** Changes to the forward pass, of the prompt and of every new token. */
  readonly edits?: readonly SiteEdit[] | undefined;
}

/** How long draws may go on before timers and signals get their turn. */
const patienceMs = 30;

/** See `LanguageModel.generate`. */
export async function* generate(
  model: LanguageModel,
  options: GenerateOptions,
): AsyncGenerator<GeneratedToken, void, undefined> {
  const { edits, signal, onProgress } = options;
  const prompt = promptTokens(model, options);
  const limit = tokenLimit(model, prompt.length, options.maxTokens ?? 256);
  let active = continuations(model, options, { prompt, limit });
  let cache = model.createCache({ capacity: prompt.length + limit });
  try {
    const [first = new Float32Array()] = await nextLogits(model, [prompt], cache, edits);
    // All samples start from the same logits.
    let logits = active.map(() => first);
    let rested = performance.now();
    for (let index = 0; index < limit && active.length > 0; index++) {
      if (performance.now() - rested > patienceMs) {
        await yieldToEventLoop();
        rested = performance.now();
      }
      throwIfAborted(signal, `${index} tokens were generated`);
      const made = active.map((row, place) => row.next(logits[place] ?? new Float32Array()));
      onProgress?.({ stage: "generate", done: index + 1, total: limit, unit: "tokens" });
      yield* made;
      const going = made.flatMap(({ finish }, place) => (finish === null ? [place] : []));
      if (going.length === 0) return;
      // Before the second token the cache holds the prompt once; after that one row for each sample that still goes on.
      const rows = index === 0 ? going.map(() => 0) : going;
      if (rows.length !== cache.batch || rows.some((row, place) => row !== place))
        cache = replaced(cache, rows);
      active = active.filter((_, place) => going.includes(place));
      const inputs = going.map((place) => [made[place]?.token ?? 0]);
      throwIfAborted(signal, `${index + 1} tokens were generated`);
      logits = await nextLogits(model, inputs, cache, edits);
    }
  } finally {
    cache.dispose();
  }
}

function replaced(cache: KvCache, rows: readonly number[]): KvCache {
  const picked = cache.select(rows);
  cache.dispose();
  return picked;
}

/** Logits of the last position of each sequence, `[vocabulary]` each. */
async function nextLogits(
  model: LanguageModel,
  inputs: readonly ArrayLike<number>[],
  cache: KvCache,
  edits: readonly SiteEdit[] | undefined,
): Promise<Float32Array[]> {
  using result = model.run(inputs, { cache, edits, logits: "last" });
  // Never null: logits were asked for.
  const all = result.logits === null ? new Float32Array() : await result.logits.floats();
  const { vocabulary } = model.config;
  return inputs.map((_, row) => all.subarray(row * vocabulary, (row + 1) * vocabulary));
}

function continuations(
  model: LanguageModel,
  options: GenerateOptions,
  { prompt, limit }: { readonly prompt: readonly number[]; readonly limit: number },
): Continuation[] {
  checkSampling(options);
  const { samples = 1, seed = 0, stopStrings = [], alternatives = 0 } = options;
  requireCount("samples", samples, 1);
  requireCount("alternatives", alternatives, 0);
  if (stopStrings.includes("")) throw invalid("a stop string is empty", "leave it out");
  if (stopStrings.length > 0 && model.tokenizer === null)
    throw invalid(`${model.name} has no tokenizer for stop strings`, "give stopTokens instead");
  const shared = {
    prompt,
    limit,
    stopTokens: new Set(options.ignoreEos === true ? [] : (options.stopTokens ?? endTokens(model))),
    stopStrings,
    sampling: options,
    processors: [
      ...(options.repetitionPenalty === undefined
        ? []
        : [repetitionPenalty(options.repetitionPenalty)]),
      ...(options.processors ?? []),
    ],
    alternatives,
    tokenizer: model.tokenizer,
  };
  return Array.from(
    { length: samples },
    (_, sample) => new Continuation(sample, new Random(seed, sample), shared),
  );
}

function requireCount(name: string, value: number, least: number): void {
  if (!Number.isInteger(value) || value < least)
    throw invalid(`${name} is ${value}`, `give an integer of at least ${least}`);
}

function invalid(message: string, fix: string): ConfigError {
  return new ConfigError({ code: "SAMPLING_INVALID", message, fix });
}
