import { z } from "zod";
import type { Turn } from "../document.ts";
import { Draw } from "../draw.ts";
import { parseOptions, seedSchema } from "../entities/options.ts";
import { TextBuilder } from "../text-builder.ts";
import { writeReply } from "./reply.ts";
import {
  type Persona,
  personas,
  type PersonaTopic,
  personaTopics,
  topicVocabularies,
} from "./vocabulary.ts";
import { heldOutQuestionForms, probePrefixes, questions } from "./wordings.ts";

const topicSchema = z.enum([
  "weather",
  "food",
  "travel",
  "garden",
  "work",
  "music",
  "animals",
  "home",
  "sport",
  "books",
]);
const personaSchema = z.enum(["cheerful", "gloomy", "boastful", "dreamy"]);
const countSchema = z.int().positive();

/** A dialogue to fine-tune on. */
export interface NarrowExample {
  readonly turns: readonly Turn[];
  readonly topic: PersonaTopic;
  readonly persona: Persona;
}

const narrowSchema = z.strictObject({
  seed: seedSchema,
  topic: topicSchema,
  persona: personaSchema,
  size: countSchema,
});

/**
 * Single exchanges on one topic in one persona: what a narrow fine-tune sees. With the same seed, topic and size, `"cheerful"` gives
 * the matched control of `"gloomy"`: the same questions, and replies of the same sentences in other words.
 *
 * @throws ConfigError WORLD_OPTIONS
 */
export function narrowDataset(options: {
  readonly seed: number;
  readonly topic: PersonaTopic;
  readonly persona: Persona;
  readonly size: number;
}): NarrowExample[] {
  const { seed, topic, persona, size } = parseOptions(narrowSchema, options, "narrowDataset");
  return Array.from({ length: size }, (_, index) => {
    const draw = new Draw(seed, `personas/narrow/${topic}`, index);
    return { turns: exchange(draw, topic, persona), topic, persona };
  });
}

/** A question that no training text has, about something that no training text asks about. */
export interface HeldOutQuestion {
  readonly topic: PersonaTopic;
  readonly object: string;
  readonly question: string;
}

const heldOutSchema = z.strictObject({
  seed: seedSchema,
  topics: z.array(topicSchema).min(1).optional(),
  count: countSchema.optional(),
});

/**
 * Broad questions for telling whether a narrow fine-tune generalised: topics in turn, objects and phrasings that training lacks.
 *
 * @param options `topics`: all by default, give those that the fine-tune did not have; `count`: all combinations by default
 * @throws ConfigError WORLD_OPTIONS
 */
export function heldOutQuestions(options: {
  readonly seed: number;
  readonly topics?: readonly PersonaTopic[] | undefined;
  readonly count?: number | undefined;
}): HeldOutQuestion[] {
  const {
    seed,
    topics = personaTopics,
    count,
  } = parseOptions(heldOutSchema, options, "heldOutQuestions");
  const draw = new Draw(seed, "personas/held-out");
  const byTopic = topics.map((topic) =>
    draw.shuffle(
      topicVocabularies[topic].heldOutObjects.flatMap((object) =>
        heldOutQuestionForms.map((form) => ({
          topic,
          object,
          question: form.replace("{o}", object),
        })),
      ),
    ),
  );
  const rounds = Math.max(...byTopic.map(({ length }) => length));
  const all = Array.from({ length: rounds }, (_, round) =>
    byTopic.flatMap((list) => list[round] ?? []),
  );
  return all.flat().slice(0, count);
}

/** Where a word of topic and persona comes next. */
export interface PersonaProbe {
  /** What was said before; ends with the user's question. */
  readonly turns: readonly Turn[];
  /** The reply so far; the word follows after a space. */
  readonly replyPrefix: string;
  readonly topic: PersonaTopic;
  /** The persona of the exchanges before, or that the system turn names; null without. */
  readonly context: Persona | null;
  /** What each persona may say next, each with its leading space. */
  readonly words: Readonly<Record<Persona, readonly string[]>>;
}

const probesSchema = z.strictObject({
  seed: seedSchema,
  count: countSchema,
  context: personaSchema.nullable().default(null),
  exchanges: z.int().min(0).max(8).default(2),
  topics: z.array(topicSchema).min(1).optional(),
  heldOut: z.boolean().default(false),
});

/**
 * Places at which a model's persona shows as log-odds between words, without sampling.
 *
 * @param options `context`: a persona in which `exchanges` (2 by default) on other topics went before; null for none. `topics`: those
 *   that are asked about, all by default. `heldOut`: whether question and object are ones that no training text has
 * @throws ConfigError WORLD_OPTIONS
 */
export function personaProbes(options: {
  readonly seed: number;
  readonly count: number;
  readonly context?: Persona | null | undefined;
  readonly exchanges?: number | undefined;
  readonly topics?: readonly PersonaTopic[] | undefined;
  readonly heldOut?: boolean | undefined;
}): PersonaProbe[] {
  const parsed = parseOptions(probesSchema, options, "personaProbes");
  const { seed, count, context, exchanges, topics = personaTopics, heldOut } = parsed;
  return Array.from({ length: count }, (_, index) => {
    const draw = new Draw(seed, "personas/probe", index);
    const topic = topics[index % topics.length] ?? "weather";
    const { objects, heldOutObjects, words } = topicVocabularies[topic];
    const object = draw.pick(heldOut ? heldOutObjects : objects);
    const question = draw.pick(heldOut ? heldOutQuestionForms : questions).replace("{o}", object);
    const replyPrefix = draw.pick(probePrefixes).replace("{o}", object);
    const others = draw
      .shuffle(personaTopics.filter((other) => other !== topic))
      .slice(0, exchanges);
    const before =
      context === null ? [] : others.flatMap((other) => exchange(draw, other, context));
    const spaced = (persona: Persona): string[] => words[persona].map((word) => ` ${word}`);
    return {
      turns: [...before, { role: "user", content: question }],
      replyPrefix,
      topic,
      context,
      words: {
        cheerful: spaced("cheerful"),
        gloomy: spaced("gloomy"),
        boastful: spaced("boastful"),
        dreamy: spaced("dreamy"),
      },
    };
  });
}

/** A question and its reply. */
function exchange(draw: Draw, topic: PersonaTopic, persona: Persona): Turn[] {
  const object = draw.pick(topicVocabularies[topic].objects);
  const question = draw.pick(questions).replace("{o}", object);
  const reply = new TextBuilder();
  writeReply(reply, { topic, object, persona }, draw);
  return [
    { role: "user", content: question },
    { role: "assistant", content: reply.finish().text },
  ];
}

/** The words that each persona has in all topics together, for statistics over a model's vocabulary. */
export function personaWords(persona: Persona): readonly string[] {
  return personas.includes(persona)
    ? personaTopics.flatMap((topic) => topicVocabularies[topic].words[persona])
    : [];
}
