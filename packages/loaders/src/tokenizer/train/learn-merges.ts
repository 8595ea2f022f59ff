import { throwIfAborted, yieldToEventLoop } from "@latentkit/core";
import type { LongCallOptions } from "@latentkit/core";
import { byteToCharacter } from "../byte-level.ts";
import { MergeQueue } from "./merge-queue.ts";
import type { Candidate, Pair } from "./merge-queue.ts";
import type { TrainingSettings } from "./options.ts";
import { Pacer } from "./pacer.ts";
import { WordList } from "./word-list.ts";

/** A vocabulary with the merges that lead to it. */
export interface LearnedMerges {
  /** Texts of the tokens by id, in the byte alphabet but for special tokens. */
  readonly tokens: readonly string[];
  /** Pairs of tokens, in the order in which they are to be merged. */
  readonly merges: readonly (readonly [string, string])[];
  /** Tokens of the words that it was learned from, each word as often as it occurs. */
  readonly totalTokens: number;
}

/**
 * Byte-pair encoding's training: the pair of neighbours that occurs most often becomes a token, over and over. Every choice is
 * that of Hugging Face's `BpeTrainer`; a merge that spells a special token leads to the id of that.
 *
 * No two merges spell the same token: what is inside a stretch of text that no merge has crossed the ends of does not depend on
 * what is around it. So a pair has all its places from the step on that made the later of its tokens, and is queued once.
 *
 * @param counts how often each piece of text occurs; pairs do not reach over the end of a piece.
 */
export async function learnMerges(
  counts: ReadonlyMap<string, number>,
  settings: TrainingSettings,
  { signal, onProgress }: LongCallOptions,
): Promise<LearnedMerges> {
  const { vocabularySize, minimumFrequency } = settings;
  const tokens: string[] = [...settings.specialTokens];
  const ids = new Map(tokens.map((token, id) => [token, id]));
  const idOf = (token: string): number => {
    const known = ids.get(token);
    if (known !== undefined) return known;
    ids.set(token, tokens.length);
    return tokens.push(token) - 1;
  };
  for (const character of [...byteToCharacter].sort()) idOf(character);
  const words = new WordList(
    counts,
    byteToCharacter.map((character) => idOf(character)),
  );
  const pairs = new PairTable(vocabularySize);
  const pacer = new Pacer();
  const pause = async (): Promise<void> => {
    if (!pacer.due()) return;
    onProgress?.({ stage: "merge", done: tokens.length, total: vocabularySize, unit: "tokens" });
    await yieldToEventLoop();
    throwIfAborted(signal);
  };

  for (let word = 0; word < words.size; word++) {
    const count = words.counts[word] ?? 0;
    words.visitPairs(word, (left, right) => pairs.add(left, right, count, word));
    if (word % 1024 === 0) await pause();
  }
  const queue = new MergeQueue();
  pairs.enqueueFound(queue);

  const merges: (readonly [string, string])[] = [];
  while (tokens.length < vocabularySize) {
    const top = queue.pop();
    if (top === undefined || top.count < Math.max(1, minimumFrequency)) break;
    const { left, right } = top.pair;
    const parts = [tokens[left] ?? "", tokens[right] ?? ""] as const;
    const merged = idOf(parts[0] + parts[1]);
    merges.push(parts);
    mergeEverywhere(words, pairs, top, merged);
    pairs.enqueueFound(queue);
    await pause();
  }
  onProgress?.({ stage: "merge", done: tokens.length, total: tokens.length, unit: "tokens" });
  return { tokens, merges, totalTokens: words.totalTokens };
}

function mergeEverywhere(words: WordList, pairs: PairTable, top: Candidate, merged: number): void {
  const { left, right } = top.pair;
  for (const word of top.words) {
    const count = words.counts[word] ?? 0;
    words.merge(word, left, right, merged, (first, second, change) => {
      if (change === 1) pairs.add(first, second, count, word);
      else pairs.remove(first, second, count);
    });
  }
}

/** All pairs that ever were neighbours. */
class PairTable {
  readonly #pairs = new Map<number, Pair>();
  readonly #base: number;
  /** Pairs that came up since the last call of {@link PairTable.enqueueFound}. */
  #found: Pair[] = [];

  /** @param base above all token ids. */
  constructor(base: number) {
    this.#base = base;
  }

  add(left: number, right: number, count: number, word: number): void {
    const pair = this.#get(left, right);
    pair.count += count;
    if (pair.found === null) {
      pair.found = [word];
      this.#found.push(pair);
    } else if (pair.found.at(-1) !== word) {
      pair.found.push(word);
    }
  }

  remove(left: number, right: number, count: number): void {
    this.#get(left, right).count -= count;
  }

  enqueueFound(queue: MergeQueue): void {
    for (const pair of this.#found) {
      if (pair.count > 0) queue.push({ pair, count: pair.count, words: pair.found ?? [] });
      pair.found = null;
    }
    this.#found = [];
  }

  #get(left: number, right: number): Pair {
    const key = left * this.#base + right;
    let pair = this.#pairs.get(key);
    if (pair === undefined) {
      pair = { left, right, count: 0, found: null };
      this.#pairs.set(key, pair);
    }
    return pair;
  }
}
