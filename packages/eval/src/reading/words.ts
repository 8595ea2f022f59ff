import type { LanguageModel } from "@latentkit/models";
import type { ReadingOptions } from "./read-rows.ts";
import { scoreTails } from "./score.ts";

/** A place in a text, and words that could stand there. */
export interface WordsRequest {
  readonly prompt: ArrayLike<number>;
  /** Token ids of each word; none empty. */
  readonly words: readonly ArrayLike<number>[];
}

/**
 * The summed log-probability of each word at each place. Words of one token are all read off one run of the prompt; longer ones take a
 * run each.
 *
 * @returns by request and word
 * @throws what {@link scoreTails} throws
 */
export async function scoreWords(
  model: LanguageModel,
  requests: readonly WordsRequest[],
  options: ReadingOptions = {},
): Promise<number[][]> {
  const join = (prompt: ArrayLike<number>, tail: ArrayLike<number>): Int32Array =>
    Int32Array.of(...Array.from(prompt), ...Array.from(tail));
  const firsts = await scoreTails(
    model,
    requests.map(({ prompt, words }) => ({
      // Any token after the prompt does: what is read is the distribution before it.
      tokens: join(prompt, Array.from(words[0] ?? []).slice(0, 1)),
      from: prompt.length,
    })),
    { ...options, withDistributions: true },
  );
  const longer = requests.flatMap(({ prompt, words }, request) =>
    words.flatMap((word, index) =>
      word.length === 1
        ? []
        : [{ request, index, tokens: join(prompt, word), from: prompt.length }],
    ),
  );
  const scores = await scoreTails(model, longer, options);
  const found = requests.map(({ words }, request) =>
    words.map(
      (word) => firsts[request]?.distributions[0]?.[word[0] ?? 0] ?? Number.NEGATIVE_INFINITY,
    ),
  );
  for (const [place, { request, index }] of longer.entries()) {
    const own = found[request];
    if (own !== undefined) own[index] = scores[place]?.total ?? Number.NEGATIVE_INFINITY;
  }
  return found;
}
