import { z } from "zod";
import { Draw } from "../draw.ts";
import { parseOptions, seedSchema } from "../entities/options.ts";
import { drawSequence, repeatPrompt } from "./repeats.ts";
import { drawIdeas, writeTwoIdeas } from "./two-ideas.ts";

/** Options of {@link copyProbes} and {@link bindingProbes}. */
export interface ProbeOptions {
  readonly seed: number;
  readonly count: number;
}

const optionsSchema = z.strictObject({ seed: seedSchema, count: z.int().nonnegative() });

/** A prompt that repeats a random sequence of words, and how it has to go on. */
export interface CopyProbe {
  readonly prompt: string;
  /** The next word, with the space before it. */
  readonly expected: string;
  /** All words of the sequence. */
  readonly words: readonly string[];
  /** How many of them the repetition has said so far; at least one. */
  readonly known: number;
}

/**
 * Prompts of copying: a random sequence of 6 to 12 words, and the sequence again up to one of its words. Chance is the reciprocal of
 * the number of words that have not been said.
 *
 * @throws ConfigError WORLD_OPTIONS
 */
export function copyProbes(options: ProbeOptions): CopyProbe[] {
  const { seed, count } = parseOptions(optionsSchema, options, "copyProbes");
  return Array.from({ length: count }, (_, index) => {
    const draw = new Draw(seed, "copy-probes", index);
    const sequence = drawSequence(draw);
    const known = draw.integer(1, sequence.words.length - 1);
    return {
      prompt: repeatPrompt(sequence, known),
      expected: ` ${sequence.words[known] ?? ""}`,
      words: sequence.words,
      known,
    };
  });
}

/** A two-idea document that ends just before a bound value. */
export interface BindingProbe {
  readonly prompt: string;
  /** What the text bound to the subject, with the space before it. */
  readonly expected: string;
  /** What it bound to the other subject. */
  readonly distractor: string;
  readonly idea: "A" | "B";
  /** `"the red box"` */
  readonly subject: string;
  readonly attribute: string;
}

/**
 * Prompts of binding: a two-idea document up to the value of a recall sentence, where the text before has named the values of both
 * ideas. Who knows which values were named and not to whom they belong is right in half of the cases.
 *
 * @throws ConfigError WORLD_OPTIONS
 */
export function bindingProbes(options: ProbeOptions): BindingProbe[] {
  const { seed, count } = parseOptions(optionsSchema, options, "bindingProbes");
  return Array.from({ length: count }, (_, index) => {
    // Draws of another name than the world's: no probe is a training document.
    const draw = new Draw(seed, "binding-probes", index);
    for (;;) {
      const probe = drawProbe(draw);
      if (probe !== undefined) return probe;
    }
  });
}

function drawProbe(draw: Draw): BindingProbe | undefined {
  const drawn = drawIdeas(draw);
  const { text, recalls } = writeTwoIdeas(draw, drawn);
  const recall = recalls.find(({ contrasted }) => contrasted);
  if (recall === undefined) return undefined;
  const { idea, attribute, valueStart } = recall;
  const other = drawn.ideas[idea.letter === "A" ? 1 : 0];
  return {
    prompt: text.slice(0, valueStart),
    expected: ` ${idea.values.get(attribute.name) ?? ""}`,
    distractor: ` ${other.values.get(attribute.name) ?? ""}`,
    idea: idea.letter,
    subject: idea.subject,
    attribute: attribute.name,
  };
}
