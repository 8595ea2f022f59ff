import { ConfigError, throwIfAborted, yieldToEventLoop } from "@latentkit/core";
import type { LongCallOptions } from "@latentkit/core";
import { plainText } from "../aligned-text.ts";
import { whitespace } from "../character-classes.ts";
import { detached } from "../piece-encoder.ts";
import type { PreTokenize } from "../pre-tokenize.ts";
import { optionsError } from "./options.ts";
import { Pacer } from "./pacer.ts";

/** How often each piece occurs in the texts, and how much text there was. */
export interface PieceCounts {
  readonly counts: ReadonlyMap<string, number>;
  /** In UTF-16 code units. */
  readonly characters: number;
  readonly texts: number;
}

/**
 * Cuts texts as the tokenizer will and counts the pieces.
 *
 * Throws `ConfigError` `TOKENIZER_TRAINING_EMPTY` where there is no text, `TOKENIZER_TRAINING_OPTIONS` for what is no text,
 * and `AbortedError`.
 */
export async function countPieces(
  texts: Iterable<string> | AsyncIterable<string>,
  preTokenize: PreTokenize,
  { signal, onProgress }: LongCallOptions,
): Promise<PieceCounts> {
  if (typeof texts === "string")
    throw optionsError("the texts are one string; a list or a stream of strings was expected");
  const counts = new Map<string, number>();
  const pacer = new Pacer();
  let [characters, number] = [0, 0];
  const report = (): void =>
    onProgress?.({
      stage: "count",
      done: characters,
      unit: "characters",
      figures: { pieces: counts.size },
    });
  for await (const text of texts) {
    throwIfAborted(signal);
    if (typeof text !== "string")
      throw optionsError(`text ${number} is of the type ${typeof text}; a string was expected`);
    for (const part of partsOf(text)) {
      for (const { text: piece } of preTokenize(plainText(part))) {
        const known = counts.get(piece);
        if (known === undefined) counts.set(detached(piece), 1);
        else counts.set(piece, known + 1);
      }
      characters += part.length;
      if (!pacer.due()) continue;
      report();
      await yieldToEventLoop();
      throwIfAborted(signal);
    }
    number += 1;
  }
  if (counts.size === 0) {
    throw new ConfigError({
      code: "TOKENIZER_TRAINING_EMPTY",
      message: `${number} texts were given, and there is nothing in them`,
      fix: "give texts to learn from, and an iterator only once",
    });
  }
  report();
  return { counts, characters, texts: number };
}

const partLength = 1 << 16;

/**
 * A long text in parts that are cut one by one, so that not all of its pieces are in memory at once. No piece reaches from a
 * character into the white space after it, nor does it matter to a piece what is before it: there, a cut changes nothing.
 */
function* partsOf(text: string): Generator<string> {
  const wordEnd = new RegExp(`[^${whitespace}](?=[${whitespace}])`, "gu");
  let from = 0;
  while (text.length - from > partLength) {
    wordEnd.lastIndex = from + partLength;
    const match = wordEnd.exec(text);
    if (match === null) break;
    const to = match.index + match[0].length;
    yield text.slice(from, to);
    from = to;
  }
  yield from === 0 ? text : text.slice(from);
}
