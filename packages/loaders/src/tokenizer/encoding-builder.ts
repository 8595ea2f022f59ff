import type { Encoding } from "./tokenizer.ts";

/** Grows an encoding token by token in typed arrays: a plain array of millions of numbers costs several times the memory. */
export class EncodingBuilder {
  #ids: Int32Array<ArrayBuffer>;
  #starts: Int32Array<ArrayBuffer>;
  #ends: Int32Array<ArrayBuffer>;
  #length = 0;

  constructor(capacity: number) {
    this.#ids = new Int32Array(capacity);
    this.#starts = new Int32Array(capacity);
    this.#ends = new Int32Array(capacity);
  }

  push(id: number, start: number, end: number): void {
    const at = this.#length++;
    if (at === this.#ids.length) {
      this.#ids = grown(this.#ids);
      this.#starts = grown(this.#starts);
      this.#ends = grown(this.#ends);
    }
    this.#ids[at] = id;
    this.#starts[at] = start;
    this.#ends[at] = end;
  }

  /** Replaces the span of each token by what `map` gives for its id, span and place. */
  mapSpans(
    map: (id: number, start: number, end: number, index: number) => readonly [number, number],
  ): void {
    for (let at = 0; at < this.#length; at++) {
      const span = map(this.#ids[at] ?? 0, this.#starts[at] ?? 0, this.#ends[at] ?? 0, at);
      [this.#starts[at], this.#ends[at]] = span;
    }
  }

  /** The encoding, with ids before it at the start of the text and ids after it at its end, which cover nothing. */
  build(
    around: { readonly before: readonly number[]; readonly after: readonly number[] },
    textLength: number,
  ): Encoding {
    const { before, after } = around;
    const own = this.#length;
    const total = before.length + own + after.length;
    const framed = (values: Int32Array, first: readonly number[], last: readonly number[]) => {
      const out = new Int32Array(total);
      out.set(first);
      out.set(values.subarray(0, own), first.length);
      out.set(last, first.length + own);
      return out;
    };
    const zeros = before.map(() => 0);
    const ends = after.map(() => textLength);
    return {
      ids: framed(this.#ids, before, after),
      starts: framed(this.#starts, zeros, ends),
      ends: framed(this.#ends, zeros, ends),
    };
  }
}

function grown(array: Int32Array<ArrayBuffer>): Int32Array<ArrayBuffer> {
  const larger = new Int32Array(array.length * 2 + 16);
  larger.set(array);
  return larger;
}
