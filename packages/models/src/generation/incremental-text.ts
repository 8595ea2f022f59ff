import type { Tokenizer } from "@latentkit/loaders";

const replacement = "\uFFFD";

/**
 * Turns tokens into text as they come. Tokens of byte-level vocabularies may hold part of a UTF-8 character; such a part waits for
 * the rest, so that the pieces put together are the text of all tokens and none ends inside a character.
 */
export class IncrementalText {
  readonly #tokenizer: Tokenizer;
  readonly #tokens: number[] = [];
  /** Tokens from here on are decoded again with each new one: decoders treat the first token of a text differently. */
  #windowStart = 0;
  /** Tokens before this one have been given out. */
  #givenOut = 0;

  constructor(tokenizer: Tokenizer) {
    this.#tokenizer = tokenizer;
  }

  /** Text that has become certain with this token; often empty for part of a character. */
  push(token: number): string {
    this.#tokens.push(token);
    const whole = this.#decode(this.#tokens.length);
    if (whole.endsWith(replacement)) return "";
    return this.#give(whole);
  }

  /** What is left at the end, with U+FFFD for a character that was never completed. */
  flush(): string {
    return this.#give(this.#decode(this.#tokens.length));
  }

  #give(whole: string): string {
    const before = this.#decode(this.#givenOut);
    this.#windowStart = this.#givenOut;
    this.#givenOut = this.#tokens.length;
    return whole.slice(before.length);
  }

  #decode(end: number): string {
    return this.#tokenizer.decode(this.#tokens.slice(this.#windowStart, end), {
      skipSpecialTokens: true,
    });
  }
}
