/**
 * Philox4x32-10, the counter-based generator of Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (2011): the same
 * key and counter give the same four words on every device, in any order.
 *
 * @param counter four 32-bit words
 * @param key two 32-bit words
 * @param out receives four 32-bit words
 */
export function philox4x32(counter: Uint32Array, key: Uint32Array, out: Uint32Array): void {
  let [c0, c1, c2, c3] = [counter[0] ?? 0, counter[1] ?? 0, counter[2] ?? 0, counter[3] ?? 0];
  let [k0, k1] = [key[0] ?? 0, key[1] ?? 0];
  for (let round = 0; round < 10; round++) {
    const high0 = multiplyHigh(0xd2511f53, c0);
    const high1 = multiplyHigh(0xcd9e8d57, c2);
    const low0 = Math.imul(0xd2511f53, c0);
    const low1 = Math.imul(0xcd9e8d57, c2);
    [c0, c1, c2, c3] = [high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0];
    k0 = (k0 + 0x9e3779b9) | 0;
    k1 = (k1 + 0xbb67ae85) | 0;
  }
  out[0] = c0;
  out[1] = c1;
  out[2] = c2;
  out[3] = c3;
}

/** High 32 bits of a 32 by 32 bit product, from 16-bit halves: doubles cannot hold the whole. */
function multiplyHigh(a: number, b: number): number {
  const [aLow, aHigh, bLow, bHigh] = [a & 0xffff, a >>> 16, b & 0xffff, b >>> 16];
  const middle = aHigh * bLow + ((aLow * bLow) >>> 16);
  const other = aLow * bHigh + (middle & 0xffff);
  return aHigh * bHigh + Math.floor(middle / 65536) + Math.floor(other / 65536);
}

/** Where a {@link Random} stands; JSON-serialisable, so that checkpoints resume bit for bit. */
export interface RandomState {
  readonly seed: number;
  readonly stream: number;
  /** 32-bit words already drawn. */
  readonly position: number;
}

/**
 * A seeded stream of random numbers with a position that can be saved and restored.
 *
 * The key is (seed, stream) and the counter is the number of blocks drawn, so that streams of one seed are independent and
 * any draw can be recomputed without its predecessors.
 */
export class Random {
  readonly seed: number;
  readonly stream: number;
  #position = 0;
  #block = -1;
  readonly #key: Uint32Array;
  readonly #counter: Uint32Array = new Uint32Array(4);
  readonly #words: Uint32Array = new Uint32Array(4);

  /** @param seed any integer; its low 32 bits are used. @param stream separates independent uses of one seed. */
  constructor(seed: number, stream = 0) {
    this.seed = seed >>> 0;
    this.stream = stream >>> 0;
    this.#key = Uint32Array.of(this.seed, this.stream);
  }

  /** Continues where {@link Random.state} was taken. */
  static restore(state: RandomState): Random {
    const random = new Random(state.seed, state.stream);
    random.#position = state.position;
    return random;
  }

  state(): RandomState {
    return { seed: this.seed, stream: this.stream, position: this.#position };
  }

  /** 32 random bits, as an unsigned integer. */
  bits(): number {
    const block = Math.floor(this.#position / 4);
    if (block !== this.#block) {
      this.#counter[0] = block >>> 0;
      this.#counter[1] = Math.floor(block / 2 ** 32);
      philox4x32(this.#counter, this.#key, this.#words);
      this.#block = block;
    }
    return this.#words[this.#position++ % 4] ?? 0;
  }

  /** Uniform in [0, 1), a multiple of 2^-24, so that it is exact in f32. */
  uniform(): number {
    return (this.bits() >>> 8) * 2 ** -24;
  }

  /** Uniform integer in [0, bound), without modulo bias. `bound` at most 2^32. */
  integer(bound: number): number {
    const limit = 2 ** 32 - (2 ** 32 % bound);
    let word = this.bits();
    while (word >= limit) word = this.bits();
    return word % bound;
  }

  /** Standard normal by Box-Muller; draws two words a value. */
  normal(): number {
    const radius = Math.sqrt(-2 * Math.log(1 - this.uniform()));
    return radius * Math.cos(2 * Math.PI * this.uniform());
  }

  /** Fills `out` with standard normals. */
  fillNormal(out: Float32Array, scale = 1): Float32Array {
    for (let index = 0; index < out.length; index++) out[index] = scale * this.normal();
    return out;
  }

  /** A uniformly random order of 0 .. size - 1 (Fisher-Yates). */
  permutation(size: number): Uint32Array {
    const order = Uint32Array.from({ length: size }, (_, index) => index);
    for (let last = size - 1; last > 0; last--) {
      const pick = this.integer(last + 1);
      const held = order[last] ?? 0;
      order[last] = order[pick] ?? 0;
      order[pick] = held;
    }
    return order;
  }
}
