import { openTurn, turnEnd } from "../chat-markup.ts";
import type { Span, Turn } from "../document.ts";
import { TextBuilder } from "../text-builder.ts";

/** Writes turns as `renderTurns` renders them, with labels inside. */
export class DialogueBuilder {
  readonly #text: TextBuilder = new TextBuilder();
  readonly #borders: {
    readonly role: Turn["role"];
    readonly start: number;
    readonly end: number;
  }[] = [];

  /** Adds a turn; `write` writes its content. */
  turn(role: Turn["role"], write: (builder: TextBuilder) => void): this {
    this.#text.add(openTurn(role));
    const start = this.#text.length;
    write(this.#text);
    this.#borders.push({ role, start, end: this.#text.length });
    this.#text.add(`${turnEnd}\n`);
    return this;
  }

  /** The rendered text, its turns and its spans. */
  finish(): {
    readonly text: string;
    readonly turns: readonly Turn[];
    readonly spans: readonly Span[];
  } {
    const { text, spans } = this.#text.finish();
    const turns = this.#borders.map(({ role, start, end }) => ({
      role,
      content: text.slice(start, end),
    }));
    return { text, turns, spans };
  }
}
