import { z } from "zod";
import type { World, WorldDocument } from "../document.ts";
import { Draw } from "../draw.ts";
import { parseOptions, seedSchema } from "../entities/options.ts";
import { drawSequence, writeRepeats } from "./repeats.ts";
import { drawIdeas, writeTwoIdeas } from "./two-ideas.ts";

/** Options of {@link binding}. */
export interface BindingOptions {
  readonly seed: number;
  /** So many documents at the beginning all repeat sequences: what is easiest to copy comes first. None by default. */
  readonly repeatsFirst?: number | undefined;
}

const optionsSchema = z.strictObject({
  seed: seedSchema,
  repeatsFirst: z.int().nonnegative().default(0),
});

/** Documents that repeat random sequences. They are shorter than the others: 28% of the text. */
const repeatShare = 0.4;

/**
 * Documents whose meaning is bound in the document alone. Three in five alternate between two ideas, A and B, in chunks of several
 * sentences; which subject comes first, which vocabulary and which value of each attribute belongs to which idea is drawn anew for
 * each, and sentences at the end recall it. The others repeat random sequences of words, so that copying is worth learning. Labels
 * and spans are listed on the page of this world.
 *
 * @throws ConfigError WORLD_OPTIONS
 */
export function binding(options: BindingOptions): World {
  const { seed, repeatsFirst } = parseOptions(optionsSchema, options, "binding");
  return {
    name: "binding",
    seed,
    document(index: number): WorldDocument {
      const draw = new Draw(seed, "binding", index);
      const rest = { id: `binding/${index}`, world: "binding", turns: null };
      if (draw.chance(repeatShare) || index < repeatsFirst) {
        const sequences = Array.from({ length: draw.integer(1, 3) }, () => drawSequence(draw));
        const labels = { kind: "repeats", sequences: sequences.length };
        return { ...rest, ...writeRepeats(draw, sequences), labels };
      }
      const drawn = drawIdeas(draw);
      const { text, spans } = writeTwoIdeas(draw, drawn);
      const [a, b] = drawn.ideas;
      const labels = {
        kind: "two ideas",
        frame: drawn.frame.kind,
        subjectA: a.subject,
        subjectB: b.subject,
        themeA: a.theme,
        themeB: b.theme,
      };
      return { ...rest, text, spans, labels };
    },
  };
}
