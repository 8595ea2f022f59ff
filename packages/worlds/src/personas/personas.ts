import { z } from "zod";
import type { World, WorldDocument } from "../document.ts";
import { cumulativeSums, Draw } from "../draw.ts";
import { parseOptions, seedSchema } from "../entities/options.ts";
import { DialogueBuilder } from "../instructions/dialogue-builder.ts";
import { articleOf, writeReply } from "./reply.ts";
import {
  type Persona,
  personas as allPersonas,
  personaTopics,
  topicVocabularies,
} from "./vocabulary.ts";
import { questions, systemForms } from "./wordings.ts";

/** Options of {@link personas}. */
export interface PersonasOptions {
  readonly seed: number;
  /**
   * When the hidden persona is drawn: once a `"document"` (the default), so that what was said before tells how the next topic will
   * be talked about, or anew for each `"turn"`, the negative control.
   */
  readonly redraw?: "document" | "turn" | undefined;
  /** Share of the documents whose system turn names the persona. Default 0.25; only where a document has one persona. */
  readonly namedShare?: number | undefined;
  /** Whether helpers that were not told otherwise are always cheerful, as a tuned assistant is. Default false. */
  readonly cheerfulByDefault?: boolean | undefined;
}

const optionsSchema = z.strictObject({
  seed: seedSchema,
  redraw: z.enum(["document", "turn"]).default("document"),
  namedShare: z.number().min(0).max(1).default(0.25),
  cheerfulByDefault: z.boolean().default(false),
});

/** How often each persona is drawn, in the order of the list. */
export const personaShares: Readonly<Record<Persona, number>> = {
  cheerful: 0.45,
  gloomy: 0.3,
  boastful: 0.125,
  dreamy: 0.125,
};
const cumulative = cumulativeSums(allPersonas.map((persona) => personaShares[persona]));

/**
 * Dialogues of three to six exchanges about everyday topics, each with another topic than the one before. A hidden persona decides
 * how the helper talks; each pair of topic and persona has words of its own, so that carrying a persona from one topic to another
 * takes more than a list of words.
 *
 * Spans: `persona` {persona, topic; `any` for openings}, `topic` {topic}, `object` {topic}. Labels: `persona` (`mixed` where it is
 * redrawn), `named`, `exchanges`.
 *
 * @throws ConfigError WORLD_OPTIONS
 */
export function personas(options: PersonasOptions): World {
  const { seed, redraw, namedShare, cheerfulByDefault } = parseOptions(
    optionsSchema,
    options,
    "personas",
  );
  const drawPersona = (draw: Draw): Persona => allPersonas[draw.weighted(cumulative)] ?? "cheerful";
  return {
    name: "personas",
    seed,
    document(index: number): WorldDocument {
      const draw = new Draw(seed, `personas/${redraw}`, index);
      const drawn = drawPersona(draw);
      const named = draw.chance(namedShare) && redraw === "document";
      const persona: Persona = cheerfulByDefault && !named ? "cheerful" : drawn;
      const builder = new DialogueBuilder();
      if (named) {
        const form = draw.pick(systemForms);
        builder.turn("system", (text) => {
          text.add(form.replace("{p}", persona).replace("{a}", articleOf(persona)));
        });
      }
      const exchanges = draw.integer(3, 6);
      let topics = draw.shuffle(personaTopics);
      for (let exchange = 0; exchange < exchanges; exchange++) {
        const [topic = "weather"] = topics;
        topics = topics.slice(1);
        const object = draw.pick(topicVocabularies[topic].objects);
        const question = draw.pick(questions).replace("{o}", object);
        const own = redraw === "turn" ? drawPersona(draw) : persona;
        builder.turn("user", (text) => void text.add(question));
        builder.turn("assistant", (text) => {
          writeReply(text, { topic, object, persona: own }, draw);
        });
      }
      const labels = { persona: redraw === "turn" ? "mixed" : persona, named, exchanges };
      return { id: `personas/${index}`, world: "personas", ...builder.finish(), labels };
    },
  };
}
