import type { Draw } from "../draw.ts";
import type { TextBuilder } from "../text-builder.ts";
import {
  type Persona,
  personaOpenings,
  type PersonaTopic,
  topicVocabularies,
} from "./vocabulary.ts";
import { firstSentences, laterSentences } from "./wordings.ts";

/** What a reply is about. */
export interface ReplySubject {
  readonly topic: PersonaTopic;
  readonly object: string;
  readonly persona: Persona;
}

/** Share of the sentences that open with a phrase of the persona. */
const openingShare = 0.35;

/**
 * Writes a reply of two or three sentences. All choices are made before any word is looked up, so that the same draws give the same
 * reply in the words of another persona whose lists are as long.
 */
export function writeReply(builder: TextBuilder, subject: ReplySubject, draw: Draw): void {
  const sentences = [draw.pick(firstSentences)];
  for (const sentence of draw.sample(laterSentences, draw.integer(1, 2))) sentences.push(sentence);
  for (const [index, sentence] of sentences.entries()) {
    if (index > 0) builder.add(" ");
    writeSentence(builder, sentence, subject, draw);
  }
}

function writeSentence(
  builder: TextBuilder,
  sentence: string,
  { topic, object, persona }: ReplySubject,
  draw: Draw,
): void {
  const { words, nouns } = topicVocabularies[topic];
  const opened = draw.chance(openingShare);
  if (opened) {
    builder.label(draw.pick(personaOpenings[persona]), "persona", { persona, topic: "any" });
    builder.add(" ");
  }
  // A word is not said twice in a sentence.
  const chosen = draw.shuffle(words[persona]);
  const things = draw.shuffle(nouns);
  let first = !opened;
  for (const piece of sentence.split(/(\{[a-z]\})/)) {
    if (piece === "{w}") builder.label(chosen.shift() ?? "", "persona", { persona, topic });
    else if (piece === "{t}") builder.label(things.shift() ?? "", "topic", { topic });
    else if (piece === "{o}") builder.label(object, "object", { topic });
    else if (piece === "{a}")
      builder.add(first ? capital(articleOf(chosen[0])) : articleOf(chosen[0]));
    else builder.add(first ? capital(piece) : piece);
    if (piece !== "") first = false;
  }
}

/** `a` or `an`. */
export function articleOf(word: string | undefined): string {
  return /^(?:[aei]|o(?!ne)|un(?!i))/.test(word ?? "") ? "an" : "a";
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
