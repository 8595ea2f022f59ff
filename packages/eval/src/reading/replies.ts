import { type LongCallOptions, Random, throwIfAborted, yieldToEventLoop } from "@latentkit/core";
import type { LanguageModel } from "@latentkit/models";
import { argmax, mul, softmax } from "@latentkit/tensor";

/** How {@link replies} generates. */
export interface ReplyOptions extends LongCallOptions {
  /** New tokens at most, of each reply. */
  readonly maxTokens: number;
  /** Tokens at which a reply ends; they are part of it. */
  readonly stopTokens: readonly number[];
  /** 0, the default, takes the most probable token. */
  readonly temperature?: number | undefined;
  /** Of the draws of a reply, together with its number; 0 by default. */
  readonly seed?: number | undefined;
  /** Prompts that go on together at most; 64 by default. */
  readonly batch?: number | undefined;
}

/** A generated reply. */
export interface Reply {
  /** New tokens, the stop token included. */
  readonly tokens: readonly number[];
  /** Whether it ended by a stop token and not by length. */
  readonly stopped: boolean;
}

/**
 * Continues many prompts at a time with a KV cache. Prompts of one length share a batch; a reply depends on its prompt, its number and
 * the seed, and not on the others.
 *
 * @throws what `model.run` throws; AbortedError
 */
export async function replies(
  model: LanguageModel,
  prompts: readonly ArrayLike<number>[],
  options: ReplyOptions,
): Promise<Reply[]> {
  const { batch = 64, signal, onProgress } = options;
  const byLength = new Map<number, number[]>();
  for (const [index, prompt] of prompts.entries())
    byLength.set(prompt.length, [...(byLength.get(prompt.length) ?? []), index]);
  const found: Reply[] = [];
  let done = 0;
  for (const group of byLength.values()) {
    for (let start = 0; start < group.length; start += batch) {
      throwIfAborted(signal, "no results were kept");
      const chosen = group.slice(start, start + batch);
      // eslint-disable-next-line no-await-in-loop -- one batch at a time
      const made = await together(model, prompts, chosen, options);
      for (const [row, index] of chosen.entries())
        found[index] = made[row] ?? { tokens: [], stopped: false };
      done += chosen.length;
      onProgress?.({ stage: "generate", done, total: prompts.length, unit: "replies" });
    }
  }
  return found;
}

/** A reply while it is made. */
interface Growing {
  readonly tokens: number[];
  stopped: boolean;
}

async function together(
  model: LanguageModel,
  prompts: readonly ArrayLike<number>[],
  chosen: readonly number[],
  { maxTokens, stopTokens, temperature = 0, seed = 0, signal }: ReplyOptions,
): Promise<Reply[]> {
  const length = prompts[chosen[0] ?? 0]?.length ?? 0;
  const limit = Math.min(maxTokens, model.config.contextSize - length);
  const stops = new Set(stopTokens);
  const randoms = chosen.map((index) => new Random(seed, index));
  const made = chosen.map((): Growing => ({ tokens: [], stopped: false }));
  using cache = model.createCache({ batch: chosen.length, capacity: length + Math.max(1, limit) });
  let input: readonly ArrayLike<number>[] = chosen.map((index) => prompts[index] ?? []);
  for (let step = 0; step < limit && made.some(({ stopped }) => !stopped); step++) {
    throwIfAborted(signal, "no results were kept");
    // eslint-disable-next-line no-await-in-loop -- each token depends on the last
    const next = await nextTokens(model, input, cache, temperature, randoms);
    for (const [row, reply] of made.entries()) {
      const token = next[row] ?? 0;
      if (reply.stopped) continue;
      reply.tokens.push(token);
      reply.stopped = stops.has(token);
    }
    input = next.map((token) => [token]);
    // eslint-disable-next-line no-await-in-loop -- signals get their turn
    if (step % 16 === 15) await yieldToEventLoop();
  }
  return made;
}

async function nextTokens(
  model: LanguageModel,
  input: readonly ArrayLike<number>[],
  cache: ReturnType<LanguageModel["createCache"]>,
  temperature: number,
  randoms: readonly Random[],
): Promise<number[]> {
  const { vocabulary } = model.config;
  const result = model.device.scope(() => {
    const { logits } = model.run(input, { cache, logits: "last" });
    if (logits === null) return null; // never: logits were asked for
    const rows = logits.reshape([input.length, vocabulary]);
    return temperature === 0 ? argmax(rows) : softmax(mul(rows, 1 / temperature));
  });
  if (result === null) return [];
  using read = result;
  if (temperature === 0) return Array.from(await read.integers());
  const probabilities = await read.floats();
  return randoms.map((random, row) =>
    draw(probabilities.subarray(row * vocabulary, (row + 1) * vocabulary), random.uniform()),
  );
}

/** The index at which the running sum passes `at`. */
function draw(probabilities: Float32Array, at: number): number {
  let sum = 0;
  let last = 0;
  for (let index = 0; index < probabilities.length; index++) {
    const probability = probabilities[index] ?? 0;
    if (probability > 0) last = index;
    sum += probability;
    if (sum > at) return index;
  }
  return last;
}
