/** Two neighbouring tokens, and how often they are neighbours now. */
export interface Pair {
  readonly left: number;
  readonly right: number;
  count: number;
  /** Words in which the pair came up since it was last queued. */
  found: number[] | null;
}

/** A pair that may be merged, with its count when it was queued and the words to look in. */
export interface Candidate {
  readonly pair: Pair;
  readonly words: readonly number[];
  count: number;
}

/**
 * A binary heap of candidates: the highest count first, then the smaller left id, then the smaller right one. Counts that have
 * gone down since are not looked for in the heap; a candidate that comes up with an old count goes back with the new one.
 */
export class MergeQueue {
  readonly #heap: Candidate[] = [];

  push(candidate: Candidate): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(candidate);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = heap[parent];
      if (above === undefined || !isBefore(candidate, above)) break;
      heap[at] = above;
      at = parent;
    }
    heap[at] = candidate;
  }

  /** Takes the first candidate whose count is true; undefined when there are none left. */
  pop(): Candidate | undefined {
    for (;;) {
      const top = this.#heap[0];
      if (top === undefined) return undefined;
      if (top.count !== top.pair.count) {
        top.count = top.pair.count;
        this.#sink(top);
        continue;
      }
      const last = this.#heap.pop();
      if (last !== undefined && last !== top) this.#sink(last);
      return top;
    }
  }

  /** Puts a candidate into the place of the first one, and then where it belongs. */
  #sink(candidate: Candidate): void {
    const heap = this.#heap;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      let below = heap[child];
      if (below === undefined) break;
      const other = heap[child + 1];
      if (other !== undefined && isBefore(other, below)) {
        below = other;
        child += 1;
      }
      if (!isBefore(below, candidate)) break;
      heap[at] = below;
      at = child;
    }
    heap[at] = candidate;
  }
}

function isBefore(a: Candidate, b: Candidate): boolean {
  if (a.count !== b.count) return a.count > b.count;
  if (a.pair.left !== b.pair.left) return a.pair.left < b.pair.left;
  return a.pair.right < b.pair.right;
}
