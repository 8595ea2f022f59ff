import type { Span } from "./document.ts";

/** Writes a text piece by piece and remembers where the labelled pieces are. */
export class TextBuilder {
  #text = "";
  readonly #spans: Span[] = [];

  get length(): number {
    return this.#text.length;
  }

  /** Adds plain text. */
  add(text: string): this {
    this.#text += text;
    return this;
  }

  /** Adds text that has a label. */
  label(text: string, label: string, facts: Span["facts"] = {}): this {
    const start = this.#text.length;
    this.#text += text;
    this.#spans.push({ start, end: this.#text.length, label, facts });
    return this;
  }

  /** Labels all that `write` adds, so that labels nest. */
  within(label: string, facts: Span["facts"], write: (builder: this) => void): this {
    const start = this.#text.length;
    const slot = this.#spans.length;
    write(this);
    this.#spans.splice(slot, 0, { start, end: this.#text.length, label, facts });
    return this;
  }

  /** The text and its spans, outer ones before inner ones. */
  finish(): { readonly text: string; readonly spans: readonly Span[] } {
    return { text: this.#text, spans: this.#spans };
  }
}
