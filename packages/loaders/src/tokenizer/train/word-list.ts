/** Called for two neighbours that came up (`change` 1) or are gone (-1) in a word. */
export type OnChange = (left: number, right: number, change: 1 | -1) => void;

/** Words as rows of token ids, in one array; a merge makes a row shorter in its place. */
export class WordList {
  readonly counts: Float64Array;
  readonly #symbols: Int32Array;
  readonly #starts: Int32Array;
  readonly #lengths: Int32Array;

  /**
   * @param counts how often each word occurs.
   * @param idOfByte the token of each byte.
   */
  constructor(counts: ReadonlyMap<string, number>, idOfByte: ArrayLike<number>) {
    const encoder = new TextEncoder();
    this.counts = Float64Array.from(counts.values());
    this.#starts = new Int32Array(counts.size);
    this.#lengths = new Int32Array(counts.size);
    let symbols = new Int32Array(8 * counts.size);
    let [word, end] = [0, 0];
    for (const piece of counts.keys()) {
      const bytes = encoder.encode(piece);
      if (end + bytes.length > symbols.length) {
        const longer = new Int32Array(2 * symbols.length + bytes.length);
        longer.set(symbols);
        symbols = longer;
      }
      this.#starts[word] = end;
      this.#lengths[word] = bytes.length;
      for (const byte of bytes) symbols[end++] = idOfByte[byte] ?? 0;
      word += 1;
    }
    this.#symbols = symbols;
  }

  get size(): number {
    return this.counts.length;
  }

  /** Tokens of all words, each as often as it occurs. */
  get totalTokens(): number {
    return this.#lengths.reduce((sum, length, word) => sum + length * (this.counts[word] ?? 0), 0);
  }

  /** Calls `visit` for all neighbours of a word. */
  visitPairs(word: number, visit: (left: number, right: number) => void): void {
    const symbols = this.#symbols;
    const start = this.#starts[word] ?? 0;
    const end = start + (this.#lengths[word] ?? 0);
    for (let i = start; i + 1 < end; i++) visit(symbols[i] ?? 0, symbols[i + 1] ?? 0);
  }

  /**
   * Puts `merged` in the place of each `left` and `right` of a word, from its start on, and tells which neighbours changed. What
   * becomes of the pair itself is not told.
   */
  merge(word: number, left: number, right: number, merged: number, onChange: OnChange): void {
    const symbols = this.#symbols;
    const start = this.#starts[word] ?? 0;
    const end = start + (this.#lengths[word] ?? 0);
    let to = start;
    for (let from = start; from < end; from++, to++) {
      const symbol = symbols[from] ?? 0;
      if (symbol !== left || from + 1 >= end || symbols[from + 1] !== right) {
        symbols[to] = symbol;
        continue;
      }
      symbols[to] = merged;
      from += 1;
      if (to > start) {
        const before = symbols[to - 1] ?? 0;
        onChange(before, left, -1);
        onChange(before, merged, 1);
      }
      if (from + 1 < end) {
        const after = symbols[from + 1] ?? 0;
        onChange(right, after, -1);
        onChange(merged, after, 1);
      }
    }
    this.#lengths[word] = to - start;
  }
}
