import { definitionError } from "./definition.ts";

/** Two symbols, and both together where that text is at hand already. */
export type Merge = readonly [left: string, right: string, merged?: string];

/**
 * Byte-pair merging: of all neighbours that may merge, the pair of the lowest rank first, of those the leftmost, until none is
 * left. A heap and a linked list make it n log n, so that a megabyte of spaces is no trap; pair keys are numbers, so that nothing
 * is allocated for each pair.
 */
export class PairMerger {
  readonly #idOf = new Map<string, number>();
  readonly #rankOf = new Map<number, number>();
  readonly #resultOf: Int32Array;

  /** @param merges pairs of symbols, best first. A pair that is listed twice has its last rank, as in the reference. */
  constructor(merges: readonly Merge[]) {
    this.#resultOf = new Int32Array(merges.length);
    for (const [rank, [left, right, merged = left + right]] of merges.entries()) {
      this.#rankOf.set(pairKey(this.#intern(left), this.#intern(right)), rank);
      this.#resultOf[rank] = this.#intern(merged);
    }
  }

  /** Where each symbol that is left ends in `text` (UTF-16). The last end is the text's length. */
  merge(text: string): readonly number[] {
    const ids: number[] = [];
    const next: number[] = [];
    const previous: number[] = [];
    const ends: number[] = [];
    let end = 0;
    for (const character of text) {
      end += character.length;
      previous.push(ids.length - 1);
      ids.push(this.#idOf.get(character) ?? -1);
      next.push(ids.length);
      ends.push(end);
    }
    const count = ids.length;
    const heap = new Heap();
    const offer = (left: number): void => {
      const right = next[left] ?? count;
      const rank = right < count ? this.#rank(ids[left] ?? -1, ids[right] ?? -1) : undefined;
      // Ranks and positions share one number, so that the smallest is the best pair and of equal ones the leftmost.
      if (rank !== undefined) heap.push(rank * positions + left);
    };
    for (let left = 0; left < count - 1; left++) offer(left);
    for (let best = heap.pop(); best !== undefined; best = heap.pop()) {
      const rank = Math.floor(best / positions);
      const left = best - rank * positions;
      const right = next[left] ?? count;
      // An offer whose symbols have merged since, with each other or with others, is void.
      if (
        ends[left] === 0 ||
        right >= count ||
        this.#rank(ids[left] ?? -1, ids[right] ?? -1) !== rank
      )
        continue;
      ids[left] = this.#resultOf[rank] ?? -1;
      ends[left] = ends[right] ?? 0;
      ends[right] = 0;
      const after = next[right] ?? count;
      next[left] = after;
      if (after < count) previous[after] = left;
      const before = previous[left] ?? -1;
      if (before >= 0) offer(before);
      offer(left);
    }
    return ends.filter((position) => position > 0);
  }

  #rank(left: number, right: number): number | undefined {
    return left < 0 || right < 0 ? undefined : this.#rankOf.get(pairKey(left, right));
  }

  #intern(symbol: string): number {
    const known = this.#idOf.get(symbol);
    if (known !== undefined) return known;
    const id = this.#idOf.size;
    if (id >= maximumSymbols)
      throw definitionError(`the merges name more than ${maximumSymbols} symbols`);
    this.#idOf.set(symbol, id);
    return id;
  }
}

// Below 2^53 in all: 2^26 symbols on either side of a pair, and 2^24 ranks over 2^29 positions (V8's longest string).
const maximumSymbols = 2 ** 24;
const positions = 2 ** 29;

function pairKey(left: number, right: number): number {
  return left * maximumSymbols + right;
}

/** A binary heap of numbers, smallest first. */
class Heap {
  readonly #items: number[] = [];

  push(item: number): void {
    const items = this.#items;
    let at = items.length;
    items.push(item);
    while (at > 0) {
      const parent = (at - 1) >>> 1;
      const above = items[parent] ?? 0;
      if (above <= item) break;
      items[at] = above;
      at = parent;
    }
    items[at] = item;
  }

  pop(): number | undefined {
    const items = this.#items;
    const smallest = items[0];
    const last = items.pop();
    if (smallest === undefined || last === undefined || items.length === 0) return smallest;
    let at = 0;
    for (let child = 1; child < items.length; child = 2 * at + 1) {
      const other = items[child + 1];
      if (other !== undefined && other < (items[child] ?? 0)) child += 1;
      const below = items[child] ?? 0;
      if (below >= last) break;
      items[at] = below;
      at = child;
    }
    items[at] = last;
    return smallest;
  }
}
