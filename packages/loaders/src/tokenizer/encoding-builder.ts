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

  build(): Encoding {
    const length = this.#length;
    return {
      ids: this.#ids.slice(0, length),
      starts: this.#starts.slice(0, length),
      ends: this.#ends.slice(0, length),
    };
  }
}

function grown(array: Int32Array<ArrayBuffer>): Int32Array<ArrayBuffer> {
  const larger = new Int32Array(array.length * 2 + 16);
  larger.set(array);
  return larger;
}
