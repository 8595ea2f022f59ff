/** What a piece of text turned into: what can be given out, and the stop string that ended the text, if one did. */
export interface Checked {
  readonly text: string;
  readonly stop: string | null;
}

/**
 * Looks for strings that end a text which comes in pieces. What may be the beginning of one is held back until the next piece
 * decides, so that nothing of a stop string is ever given out. The first one to be complete ends the text; of several complete in
 * one piece, the one that begins first.
 */
export class StopStrings {
  readonly #stops: readonly string[];
  #held = "";

  /** @param stops none of them empty */
  constructor(stops: readonly string[]) {
    this.#stops = stops;
  }

  /** Takes the next piece. */
  push(piece: string): Checked {
    const whole = this.#held + piece;
    const found = this.#stops
      .map((stop) => ({ stop, at: whole.indexOf(stop) }))
      .filter(({ at }) => at >= 0)
      .toSorted((a, b) => a.at - b.at)[0];
    if (found !== undefined) {
      this.#held = "";
      return { text: whole.slice(0, found.at), stop: found.stop };
    }
    const kept = Math.max(0, ...this.#stops.map((stop) => beginningAtEnd(whole, stop)));
    this.#held = whole.slice(whole.length - kept);
    return { text: whole.slice(0, whole.length - kept), stop: null };
  }

  /** What is still held back, once the text has ended by itself. */
  flush(): string {
    const held = this.#held;
    this.#held = "";
    return held;
  }
}

/** Length of the longest proper beginning of `stop` that `text` ends with. */
function beginningAtEnd(text: string, stop: string): number {
  for (let length = Math.min(stop.length - 1, text.length); length > 0; length--)
    if (text.endsWith(stop.slice(0, length))) return length;
  return 0;
}
