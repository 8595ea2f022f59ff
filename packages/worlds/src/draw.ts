import { ConfigError, Random } from "@latentkit/core";

/**
 * Random choices for one document or one table, addressed by name: `new Draw(seed, "facts", 17)` gives the same choices always, and
 * choices of other names are independent.
 */
export class Draw {
  readonly #random: Random;

  constructor(seed: number, name: string, index = 0) {
    // A stream of 32 bits for the name and index together (FNV-1a), under the seed.
    this.#random = new Random(seed, hashText(`${name}/${index}`));
  }

  /** Uniform in [0, 1). */
  uniform(): number {
    return this.#random.uniform();
  }

  /** Whether an event of this probability happens. */
  chance(probability: number): boolean {
    return this.#random.uniform() < probability;
  }

  /** Uniform integer from `low` to `high`, both included. */
  integer(low: number, high: number): number {
    return low + this.#random.integer(high - low + 1);
  }

  /** One element, all equally likely. */
  pick<T>(items: readonly T[]): T {
    const item = items[this.#random.integer(Math.max(1, items.length))];
    if (item === undefined) throw emptyChoice();
    return item;
  }

  /** `count` different elements, in random order. */
  sample<T>(items: readonly T[], count: number): T[] {
    return this.shuffle(items).slice(0, count);
  }

  /** All elements in random order. */
  shuffle<T>(items: readonly T[]): T[] {
    const order = this.#random.permutation(items.length);
    return Array.from(order, (index) => items[index]).filter((item) => item !== undefined);
  }

  /** An index with probability in proportion to its weight, given the running sums of the weights. */
  weighted(cumulative: ArrayLike<number>): number {
    const total = cumulative[cumulative.length - 1] ?? 0;
    const target = this.#random.uniform() * total;
    let [low, high] = [0, cumulative.length - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((cumulative[middle] ?? 0) > target) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}

/** Running sums, for {@link Draw.weighted}. */
export function cumulativeSums(weights: readonly number[]): Float64Array {
  const sums = new Float64Array(weights.length);
  let total = 0;
  for (const [index, weight] of weights.entries()) sums[index] = total += weight;
  return sums;
}

function hashText(text: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index++)
    hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  return hash >>> 0;
}

function emptyChoice(): ConfigError {
  return new ConfigError({
    code: "CHOICE_EMPTY",
    message: "a choice was to be drawn from an empty list",
    fix: "give at least one element",
  });
}
