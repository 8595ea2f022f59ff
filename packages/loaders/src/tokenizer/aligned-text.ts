/**
 * A stretch of text on its way through the tokenizer, which remembers the characters of the original that each of its own came
 * from. Without `starts` and `ends` the stretch is a plain piece of the original that begins at `base`.
 */
export interface AlignedText {
  readonly text: string;
  readonly base: number;
  readonly starts: Int32Array | null;
  readonly ends: Int32Array | null;
}

/** The whole original. */
export function plainText(text: string): AlignedText {
  return { text, base: 0, starts: null, ends: null };
}

/** Where the original of character `index` begins. */
export function originalStart(aligned: AlignedText, index: number): number {
  return aligned.starts === null ? aligned.base + index : (aligned.starts[index] ?? 0);
}

/** Where the original of the character before `index` ends. */
export function originalEnd(aligned: AlignedText, index: number): number {
  return aligned.ends === null ? aligned.base + index : (aligned.ends[index - 1] ?? 0);
}

/** Characters `from` to `to`. */
export function sliceAligned(aligned: AlignedText, from: number, to: number): AlignedText {
  return {
    text: aligned.text.slice(from, to),
    base: aligned.base + from,
    starts: aligned.starts === null ? null : aligned.starts.subarray(from, to),
    ends: aligned.ends === null ? null : aligned.ends.subarray(from, to),
  };
}

/** A character of a rewritten text: 1 for one that was inserted, 0 for one that replaces another, -n where it took in n more. */
export interface CharacterChange {
  readonly character: string;
  readonly change: number;
}

/** How many UTF-16 units the character at `at` has: 1 or 2. */
export function widthAt(text: string, at: number): number {
  return (text.codePointAt(at) ?? 0) > 0xffff ? 2 : 1;
}

/** Builds a new text piece by piece, each standing for a stretch of the one before. */
export class AlignedBuilder {
  readonly #source: AlignedText;
  readonly #parts: string[] = [];
  readonly #starts: number[] = [];
  readonly #ends: number[] = [];

  constructor(source: AlignedText) {
    this.#source = source;
  }

  /** Adds `text`, of which every character stands for characters `from` to `to` of the source, or for the point `from`. */
  add(text: string, from: number, to: number): void {
    const empty = from === to;
    const start =
      from < this.#source.text.length
        ? originalStart(this.#source, from)
        : originalEnd(this.#source, from);
    const end = empty ? start : originalEnd(this.#source, to);
    this.#parts.push(text);
    for (let i = 0; i < text.length; i++) {
      this.#starts.push(start);
      this.#ends.push(end);
    }
  }

  /** Adds characters `from` to `to` of the source as they are. */
  keep(from: number, to: number): void {
    this.#parts.push(this.#source.text.slice(from, to));
    for (let i = from; i < to; i++) {
      this.#starts.push(originalStart(this.#source, i));
      this.#ends.push(originalEnd(this.#source, i + 1));
    }
  }

  /**
   * Adds what characters of the source from `from` on were rewritten to, and says how far they reached. Alignment is that of the
   * reference: a character stands for the one that it replaces, even where it takes more of them in, and an inserted one for the
   * one before it.
   */
  replace(changes: readonly CharacterChange[], from: number): number {
    const { text } = this.#source;
    let at = from;
    let before = from;
    for (const { character, change } of changes) {
      if (change > 0) this.add(character, before, at);
      else {
        before = at;
        at += widthAt(text, at);
        this.add(character, before, at);
        for (let taken = change; taken < 0 && at < text.length; taken++) {
          before = at;
          at += widthAt(text, at);
        }
      }
    }
    return at;
  }

  build(): AlignedText {
    return {
      text: this.#parts.join(""),
      base: 0,
      starts: Int32Array.from(this.#starts),
      ends: Int32Array.from(this.#ends),
    };
  }
}
