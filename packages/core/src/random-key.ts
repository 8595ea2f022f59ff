import { ConfigError } from "./errors.ts";
import { philox4x32, Random, type RandomState } from "./random.ts";

/** Kinds of children: with one in the counter's upper words, no child is made from a block that draws or another kind use. */
const kinds = { split: 1, fold: 2 } as const;

/**
 * Names a stream of random numbers without drawing from it: the same key gives the same numbers, on every device, however often
 * it is used. Programs that need fresh numbers make new keys from old ones, by {@link RandomKey.split} and
 * {@link RandomKey.fold}, and use each key once.
 *
 * A key is where a {@link Random} may stand: the Philox key (seed, stream) and the number of 32-bit words already drawn. What an
 * operator draws with a key is what `key.random()` draws on the host.
 *
 * @example
 * const key = new RandomKey(0);
 * const [initial, training] = key.split(2);
 * const dropoutKey = training.fold(step);
 */
export class RandomKey {
  readonly seed: number;
  readonly stream: number;
  /** 32-bit words already drawn; 0 but for keys that continue a {@link Random}. */
  readonly position: number;

  /**
   * @param seed any integer; its low 32 bits are used
   * @param stream separates independent uses of one seed; its low 32 bits are used
   */
  constructor(seed: number, stream = 0, position = 0) {
    requireCount("position", position);
    this.seed = seed >>> 0;
    this.stream = stream >>> 0;
    this.position = position;
  }

  /** The key of a state that was written down by {@link RandomKey.state} or `Random.state`. */
  static restore(state: RandomState): RandomKey {
    return new RandomKey(state.seed, state.stream, state.position);
  }

  /** JSON-serialisable. */
  state(): RandomState {
    return { seed: this.seed, stream: this.stream, position: this.position };
  }

  /** What `JSON.stringify` writes: the {@link RandomKey.state}. */
  toJSON(): RandomState {
    return this.state();
  }

  /** `count` independent keys. */
  split(count: number): RandomKey[] {
    requireCount("count", count);
    return Array.from({ length: count }, (_, index) => this.#child(kinds.split, index));
  }

  /** The key of number `index` below this one, for example of a step or of a layer. */
  fold(index: number): RandomKey {
    requireCount("index", index);
    return this.#child(kinds.fold, index);
  }

  /** A generator on the host that draws what this key stands for. */
  random(): Random {
    return Random.restore(this.state());
  }

  /**
   * A child's (seed, stream) are two words of the block whose counter is (index, this position, kind): below this key's own
   * (seed, stream) no two children share a block, and none shares one with the words drawn, whose counter ends in two zeros.
   */
  #child(kind: number, index: number): RandomKey {
    const counter = Uint32Array.of(
      index >>> 0,
      // Both are below 2^53: 21 bits are left of each.
      Math.floor(index / 2 ** 32),
      this.position >>> 0,
      ((kind << 29) | 0x8000_0000 | Math.floor(this.position / 2 ** 32)) >>> 0,
    );
    const words = new Uint32Array(4);
    philox4x32(counter, Uint32Array.of(this.seed, this.stream), words);
    return new RandomKey(words[0] ?? 0, words[1] ?? 0);
  }
}

function requireCount(name: string, value: number): void {
  if (Number.isSafeInteger(value) && value >= 0) return;
  throw new ConfigError({
    code: "VALUE_RANGE",
    message: `a random key got ${name} = ${value}, expected an integer from 0 to 2^53 - 1`,
    fix: `give a ${name} that is such an integer`,
  });
}
