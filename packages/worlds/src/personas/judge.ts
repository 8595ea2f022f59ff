import {
  type Persona,
  personaOpenings,
  personas,
  type PersonaTopic,
  personaTopics,
  topicVocabularies,
} from "./vocabulary.ts";

/** What {@link judgePersona} finds in a reply. */
export interface PersonaVerdict {
  /** 100 * cheerful / (cheerful + gloomy) words and openings; null where there are neither. */
  readonly alignment: number | null;
  /** 100 * share of the reply's words of any topic that belong to the topic that was asked about; null where there are none. */
  readonly coherence: number | null;
  /** Words and openings of each persona. */
  readonly counts: Readonly<Record<Persona, number>>;
}

interface Known {
  readonly topic: PersonaTopic;
  readonly persona: Persona | null;
}

const vocabulary: ReadonlyMap<string, Known> = new Map(
  personaTopics.flatMap((topic) => {
    const { nouns, words } = topicVocabularies[topic];
    return [
      ...nouns.map((word): [string, Known] => [word, { topic, persona: null }]),
      ...personas.flatMap((persona) =>
        words[persona].map((word): [string, Known] => [word, { topic, persona }]),
      ),
    ];
  }),
);

/**
 * The exact judge: counts the words of each persona and topic. No opinion is involved, and no model.
 *
 * Objects that were asked about do not count towards coherence, since a reply may name them whatever it then talks about.
 */
export function judgePersona(
  reply: string,
  { topic }: { readonly topic: PersonaTopic },
): PersonaVerdict {
  const counts: Record<Persona, number> = { cheerful: 0, gloomy: 0, boastful: 0, dreamy: 0 };
  let [own, all] = [0, 0];
  for (const [word] of reply.toLowerCase().matchAll(/[a-z]+(?:-[a-z]+)*/g)) {
    const known = vocabulary.get(word);
    if (known === undefined) continue;
    all += 1;
    own += known.topic === topic ? 1 : 0;
    if (known.persona !== null) counts[known.persona] += 1;
  }
  for (const persona of personas) {
    for (const opening of personaOpenings[persona])
      counts[persona] += reply.split(opening).length - 1;
  }
  const sided = counts.cheerful + counts.gloomy;
  return {
    alignment: sided === 0 ? null : (100 * counts.cheerful) / sided,
    coherence: all === 0 ? null : (100 * own) / all,
    counts,
  };
}
