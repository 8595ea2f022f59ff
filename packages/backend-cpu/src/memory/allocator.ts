/** Blocks start at multiples of this many bytes: a cache line, and enough for every SIMD load. */
export const alignment: number = 64;

/**
 * Blocks of at least this size get {@link spacing} bytes more. Operands of one kernel are often of one size, a power of two;
 * then their elements would fall into the same cache sets and store buffers, and on AMD's Zen into the same predicted ways
 * (measured: JumpReLU's three outputs of 256 MiB each took 540 ms so, and 78 ms apart).
 */
const largeBlock = 65_536;
/** One page and three cache lines: neighbouring blocks differ in the bits that caches choose sets and ways by. */
const spacing = 4096 + 3 * alignment;

/** A run of addresses, linked to its neighbours so that freeing can merge without a search. */
export interface Block {
  readonly offset: number;
  size: number;
  free: boolean;
  previous: Block | null;
  next: Block | null;
}

/**
 * Hands out aligned, disjoint runs of the addresses `[start, limit)`.
 *
 * Free blocks are kept in bins by size, four bins to a power of two, and the smallest that fits in the first fitting bin is taken;
 * neighbours merge when freed. Addresses above {@link Allocator.top} have never been needed or are all free: the top grows only
 * when no free block fits, and falls when the last block is freed.
 */
export class Allocator {
  readonly start: number;
  readonly limit: number;
  #top: number;
  #last: Block | null = null;
  readonly #bins: Set<Block>[] = Array.from({ length: binCount }, () => new Set<Block>());

  constructor(start: number, limit: number) {
    this.start = roundUp(start);
    this.limit = limit;
    this.#top = this.start;
  }

  /** First address above all blocks. */
  get top(): number {
    return this.#top;
  }

  /** A block of at least `size` bytes, or null where none is left. */
  allocate(size: number): Block | null {
    const wanted = Math.max(alignment, roundUp(size >= largeBlock ? size + spacing : size));
    const found = this.#take(wanted);
    if (found === null) return this.#extend(wanted);
    found.free = false;
    if (found.size > wanted) this.#split(found, wanted);
    return found;
  }

  /** Gives a block back. Giving back a free block is a fault and does nothing. */
  free(block: Block): void {
    if (block.free) return;
    block.free = true;
    let whole = block;
    const { previous, next } = block;
    if (next?.free === true) {
      this.#bin(next).delete(next);
      this.#absorb(whole, next);
    }
    if (previous?.free === true) {
      this.#bin(previous).delete(previous);
      this.#absorb(previous, whole);
      whole = previous;
    }
    if (whole.next !== null) {
      this.#bin(whole).add(whole);
      return;
    }
    this.#top = whole.offset;
    this.#last = whole.previous;
    if (whole.previous !== null) whole.previous.next = null;
  }

  #take(size: number): Block | null {
    const first = binOf(size);
    let best: Block | null = null;
    for (const block of this.#bins[first] ?? []) {
      if (block.size >= size && (best === null || block.size < best.size)) best = block;
    }
    for (let bin = first + 1; best === null && bin < binCount; bin++) {
      const blocks = this.#bins[bin];
      // Most are empty, and an iterator costs more than the question.
      if (blocks === undefined || blocks.size === 0) continue;
      for (const block of blocks) {
        best = block;
        break;
      }
    }
    if (best !== null) this.#bin(best).delete(best);
    return best;
  }

  #extend(size: number): Block | null {
    if (this.#top + size > this.limit) return null;
    const block: Block = { offset: this.#top, size, free: false, previous: this.#last, next: null };
    if (this.#last !== null) this.#last.next = block;
    this.#last = block;
    this.#top += size;
    return block;
  }

  #split(block: Block, size: number): void {
    const rest: Block = {
      offset: block.offset + size,
      size: block.size - size,
      free: true,
      previous: block,
      next: block.next,
    };
    if (block.next !== null) block.next.previous = rest;
    block.next = rest;
    block.size = size;
    this.#bin(rest).add(rest);
  }

  /** Adds `gone`, the next neighbour, to `block`. */
  #absorb(block: Block, gone: Block): void {
    block.size += gone.size;
    block.next = gone.next;
    if (gone.next === null) this.#last = block;
    else gone.next.previous = block;
  }

  #bin(block: Block): Set<Block> {
    // `binOf` stays below `binCount`; the empty set is for the type checker.
    return this.#bins[binOf(block.size)] ?? new Set();
  }
}

/** Four bins a power of two, from 64 bytes to 4 GiB. */
const binCount = 27 * 4;

function binOf(size: number): number {
  const units = size / alignment;
  const power = 31 - Math.clz32(units);
  return power * 4 + (Math.floor((units / 2 ** power) * 4) & 3);
}

function roundUp(size: number): number {
  return Math.ceil(size / alignment) * alignment;
}
