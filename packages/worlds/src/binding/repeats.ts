import type { Span } from "../document.ts";
import type { Draw } from "../draw.ts";
import { TextBuilder } from "../text-builder.ts";
import { ideaFrames, themes } from "./ideas.ts";

/** Common words, of which none follows another by habit. */
const commonWords: readonly string[] = `
  apple table river winter paper yellow mother engine summer window
  doctor silver finger carpet orange bottle garden hammer island jacket
  kettle ladder marble needle oyster pencil rabbit saddle tunnel velvet
  walnut zebra anchor basket candle dragon eagle feather ginger honey
  iron jungle kitten lemon magnet napkin olive pepper quilt rocket
  shadow ticket uncle violin wagon yard acorn bridge castle desert
  ember forest glove harbour insect jewel king lantern mirror nest
  ocean pocket queen ribbon spoon tiger urn valley whistle yarn`
  .trim()
  .split(/\s+/);

/** Words that random sequences are made of. */
export const repeatWords: readonly string[] = [
  ...new Set([
    ...commonWords,
    ...Object.values(themes).flat(),
    ...ideaFrames.flatMap(({ attributes }) => attributes.flatMap(({ values }) => values)),
  ]),
];

/** How a sequence is introduced, for the first time and again. */
const frames: readonly (readonly [first: string, again: string, separator: string])[] = [
  ["The words were: ", "Once more, the words were: ", ", "],
  ["Say after me: ", "Again: ", " "],
  ["On the list stood ", "The same list again: ", ", "],
  ["", "", " "],
];

/** A random sequence of words and its introduction. */
export interface Sequence {
  readonly words: readonly string[];
  readonly frame: readonly [first: string, again: string, separator: string];
}

/** Draws 6 to 12 different words, and how they are presented. */
export function drawSequence(draw: Draw): Sequence {
  return { words: draw.sample(repeatWords, draw.integer(6, 12)), frame: draw.pick(frames) };
}

/**
 * A document that tells random sequences two to four times each; each time after the first can be copied. In half of the documents
 * the sequences come one after the other, in the others their repetitions are mixed.
 */
export function writeRepeats(
  draw: Draw,
  sequences: readonly Sequence[],
): { readonly text: string; readonly spans: readonly Span[] } {
  const builder = new TextBuilder();
  const inOrder = sequences.flatMap((_, index) =>
    Array.from({ length: draw.integer(2, 4) }, () => index),
  );
  const order = draw.chance(0.5) ? inOrder : draw.shuffle(inOrder);
  const times = sequences.map(() => 0);
  for (const [place, index] of order.entries()) {
    const sequence = sequences[index];
    if (sequence === undefined) continue;
    if (place > 0) builder.add("\n");
    const time = times[index] ?? 0;
    times[index] = time + 1;
    writeOnce(builder, sequence, index, time);
  }
  return builder.finish();
}

function writeOnce(builder: TextBuilder, sequence: Sequence, index: number, time: number): void {
  const [first, again, separator] = sequence.frame;
  builder.add(time === 0 ? first : again);
  builder.within("repeat", { sequence: index, time, words: sequence.words.length }, () => {
    builder.add(sequence.words.join(separator));
  });
  builder.add(".");
}

/** The text of a sequence, all of it and then again up to its word number `known`, without the space before the next word. */
export function repeatPrompt(
  { words, frame: [first, again, separator] }: Sequence,
  known: number,
): string {
  const shown = words.slice(0, known).join(separator);
  return `${first}${words.join(separator)}.\n${again}${shown}${separator.trimEnd()}`;
}
