import {
  ConfigError,
  internalFault,
  type LongCallOptions,
  Random,
  throwIfAborted,
  yieldToEventLoop,
} from "@latentkit/core";
import { logSumExp } from "@latentkit/tensor";
import type { SiteEdit } from "../hook-run.ts";
import type { KvCache } from "../kv-cache.ts";
import type { LanguageModel } from "../language-model.ts";
import type { SiteName } from "../sites.ts";
import { capturedRows } from "./captured-rows.ts";
import { Continuation, type GeneratedToken, type LastPosition } from "./continuation.ts";
import { type LogitsProcessor, repetitionPenalty } from "./logits-processors.ts";
import { allPromptTokens, endTokens, type Prompt, type Prompts, tokenLimit } from "./prompt.ts";
import { checkSampling, type SamplingOptions } from "./sampling.ts";

/** What to continue and how. */
export interface GenerateOptions extends Prompt, Prompts, SamplingOptions, LongCallOptions {
  /** New tokens at most; 256 if left out. The context size is a limit as well. */
  readonly maxTokens?: number | undefined;
  /** Ways to go on from each prompt, all from one reading of it; 1 if left out. */
  readonly samples?: number | undefined;
  /** Seed of the draws; 0 if left out. Sample i of any prompt draws from stream i of it, however many samples and prompts there are. */
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
  /**
   * Changes to the forward pass, of the prompt and of every new token; edits may choose between them by `part`, and by the index of
   * the prompt, which is what they know a row by.
   */
  readonly edits?: readonly SiteEdit[] | undefined;
  /** Sites whose values each new token brings with it, see {@link GeneratedToken.captured}. */
  readonly capture?: readonly (SiteName | (string & {}))[] | undefined;
}

/** How long draws may go on before timers and signals get their turn. */
const patienceMs = 30;

/** See `LanguageModel.generate`. */
export async function* generate(
  model: LanguageModel,
  options: GenerateOptions,
): AsyncGenerator<GeneratedToken, void, undefined> {
  const { signal, onProgress } = options;
  const prompts = allPromptTokens(model, options).map((tokens) => ({
    tokens,
    limit: tokenLimit(model, tokens.length, options.maxTokens ?? 256),
  }));
  let active = continuations(model, options, prompts);
  const limit = Math.max(...prompts.map((prompt) => prompt.limit));
  const longest = Math.max(...prompts.map(({ tokens }) => tokens.length));
  let cache = model.createCache({ batch: prompts.length, capacity: longest + limit });
  try {
    const read = await lastPositions(
      model,
      prompts.map(({ tokens }, prompt) => ({ tokens, prompt, promptLength: tokens.length })),
      cache,
      options,
    );
    // All samples of a prompt start from the same logits.
    let last = active.map(({ prompt }) => read[prompt]);
    let rested = performance.now();
    for (let index = 0; index < limit && active.length > 0; index++) {
      if (performance.now() - rested > patienceMs) {
        await yieldToEventLoop();
        rested = performance.now();
      }
      throwIfAborted(signal, `${index} tokens were generated`);
      const made = active.map((row, place) => row.next(last[place] ?? nothing));
      onProgress?.({ stage: "generate", done: index + 1, total: limit, unit: "tokens" });
      yield* made;
      const going = made.flatMap(({ finish }, place) => (finish === null ? [place] : []));
      if (going.length === 0) return;
      // Before the second token the cache has a row for each prompt; after that one for each sample that still goes on.
      const rows = going.map((place) => (index === 0 ? (active[place]?.prompt ?? 0) : place));
      if (rows.length !== cache.batch || rows.some((row, place) => row !== place))
        cache = replaced(cache, rows);
      active = active.filter((_, place) => going.includes(place));
      const inputs = active.map(({ prompt, promptLength }, row) => ({
        tokens: [made[going[row] ?? 0]?.token ?? 0],
        prompt,
        promptLength,
      }));
      throwIfAborted(signal, `${index + 1} tokens were generated`);
      last = await lastPositions(model, inputs, cache, options);
    }
  } finally {
    cache.dispose();
  }
}

/** Never read: there is one of these for each continuation. */
const nothing: LastPosition = { logits: new Float32Array(), logSumExp: 0, captured: new Map() };

function replaced(cache: KvCache, rows: readonly number[]): KvCache {
  const picked = cache.select(rows);
  cache.dispose();
  return picked;
}

/** The next tokens of a text. */
interface Input {
  readonly tokens: readonly number[];
  readonly prompt: number;
  readonly promptLength: number;
}

/** Runs the model over each input's tokens and reads what it gave at the last of them. */
async function lastPositions(
  model: LanguageModel,
  inputs: readonly Input[],
  cache: KvCache,
  { edits, capture }: GenerateOptions,
): Promise<LastPosition[]> {
  using result = model.run(
    inputs.map(({ tokens }) => tokens),
    {
      cache,
      edits,
      capture,
      logits: "last",
      padding: "left",
      rowIndices: inputs.map(({ prompt }) => prompt),
      promptLengths: inputs.map(({ promptLength }) => promptLength),
    },
  );
  const { logits } = result;
  if (logits === null) throw internalFault("a run that was asked for logits gave none");
  // On the device, where all threads share it: on the host it takes as long as a layer.
  using sums = logSumExp(logits, { axis: -1 });
  const [all, logSums] = [await logits.floats(), await sums.floats()];
  const sites = await capturedRows(result.captured, cache.starts);
  const { vocabulary } = model.config;
  return inputs.map((_, row) => ({
    logits: all.subarray(row * vocabulary, (row + 1) * vocabulary),
    logSumExp: logSums[row] ?? Number.NaN,
    captured: new Map(sites.map(({ site, rows }) => [site, rows[row] ?? new Float32Array()])),
  }));
}

function continuations(
  model: LanguageModel,
  options: GenerateOptions,
  prompts: readonly { readonly tokens: readonly number[]; readonly limit: number }[],
): Continuation[] {
  checkSampling(options);
  const { samples = 1, seed = 0, stopStrings = [], alternatives = 0 } = options;
  requireCount("samples", samples, 1);
  requireCount("alternatives", alternatives, 0);
  if (stopStrings.includes("")) throw invalid("a stop string is empty", "leave it out");
  if (stopStrings.length > 0 && model.tokenizer === null)
    throw invalid(`${model.name} has no tokenizer for stop strings`, "give stopTokens instead");
  const shared = {
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
  return prompts.flatMap(({ tokens: prompt, limit }, promptIndex) =>
    Array.from(
      { length: samples },
      (_, sample) =>
        new Continuation(sample, new Random(seed, sample), {
          ...shared,
          prompt,
          promptIndex,
          limit,
        }),
    ),
  );
}

function requireCount(name: string, value: number, least: number): void {
  if (!Number.isInteger(value) || value < least)
    throw invalid(`${name} is ${value}`, `give an integer of at least ${least}`);
}

function invalid(message: string, fix: string): ConfigError {
  return new ConfigError({ code: "SAMPLING_INVALID", message, fix });
}
