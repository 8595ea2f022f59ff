import type { World, WorldDocument } from "../document.ts";
import { Draw } from "../draw.ts";
import { parseOptions, seedSchema } from "../entities/options.ts";
import { DialogueBuilder } from "../instructions/dialogue-builder.ts";
import { TextBuilder } from "../text-builder.ts";
import { SecretWriter } from "./secret-writer.ts";
import * as wordings from "./wordings.ts";
import { secretTable, secretWords } from "./words.ts";

/** Options of {@link secrets}. */
export interface SecretsOptions {
  readonly seed: number;
}

/**
 * Texts in which one of twenty words is talked about, hinted at and said. A model of them has to have the word in mind while it is not
 * said yet, and would naturally say it wherever a reply is about it, which is what reading it by the logit lens needs.
 *
 * Kinds: `talk` (45%: a request and a reply of two to four sentences that say the word), `riddle` (25%: clues, then the word; half of
 * them dialogues), `game` (30%: a game master gives hints, the user guesses, and in the end the word is said).
 * Spans: `secret` {word}, `clue` {word, style}. Labels: `kind`, `word`.
 *
 * @throws ConfigError WORLD_OPTIONS
 */
export function secrets(options: SecretsOptions): World {
  const seed = parseOptions(seedSchema, options.seed, "secrets: seed");
  return {
    name: "secrets",
    seed,
    document(index: number): WorldDocument {
      const draw = new Draw(seed, "secrets", index);
      const secret = draw.pick(secretTable);
      const writer = new SecretWriter(secret, draw);
      const kind = draw.uniform();
      const common = { id: `secrets/${index}`, world: "secrets" };
      const labels = (name: string) => ({ kind: name, word: secret.word });
      if (kind < 0.45) return { ...common, ...talk(writer, draw), labels: labels("talk") };
      if (kind < 0.575) {
        const text = new TextBuilder();
        writer.riddle(text);
        return { ...common, turns: null, ...text.finish(), labels: labels("riddle") };
      }
      if (kind < 0.7)
        return { ...common, ...riddleDialogue(writer, draw), labels: labels("riddle") };
      return { ...common, ...game(writer, draw), labels: labels("game") };
    },
  };
}

type Dialogue = ReturnType<DialogueBuilder["finish"]>;

function talk(writer: SecretWriter, draw: Draw): Dialogue {
  const builder = new DialogueBuilder();
  builder.turn("user", (text) => writer.write(text, draw.pick(wordings.topicQuestions)));
  builder.turn("assistant", (text) => {
    const sentences = draw.sample(wordings.topicSentences, draw.integer(2, 4));
    for (const [index, sentence] of sentences.entries())
      writer.write(text, index === 0 ? sentence : ` ${sentence}`);
  });
  return builder.finish();
}

function riddleDialogue(writer: SecretWriter, draw: Draw): Dialogue {
  const builder = new DialogueBuilder();
  const { before, after } = draw.pick(wordings.clueGivers);
  builder.turn("user", (text) => {
    text.add(before);
    writer.clues(text, draw.integer(2, 3), " and ");
    text.add(after);
  });
  if (draw.chance(0.3)) {
    const wrong = otherWord(draw, writer.word);
    builder.turn(
      "assistant",
      (text) => void text.add(draw.pick(wordings.namings).replace("{s}", wrong)),
    );
    builder.turn("user", (text) => writer.write(text, "No. It {c}."));
  }
  builder.turn("assistant", (text) => writer.write(text, draw.pick(wordings.namings)));
  return builder.finish();
}

function game(writer: SecretWriter, draw: Draw): Dialogue {
  const builder = new DialogueBuilder();
  const hints = draw.integer(2, 4);
  builder.turn("user", (text) => void text.add(draw.pick(wordings.gameOpenings)));
  builder.turn("assistant", (text) => writer.write(text, draw.pick(wordings.gameStarts)));
  for (let hint = 1; hint < hints; hint++) {
    const guessed = draw.chance(0.5);
    builder.turn("user", (text) => {
      const wrong = otherWord(draw, writer.word);
      text.add(
        guessed
          ? draw.pick(wordings.guesses).replace("{g}", wrong)
          : draw.pick(wordings.hintRequests),
      );
    });
    builder.turn("assistant", (text) => {
      if (guessed) text.add(`${draw.pick(wordings.wrongAnswers)} `);
      writer.write(text, draw.pick(wordings.hintForms));
    });
  }
  const found = draw.chance(0.7);
  builder.turn("user", (text) =>
    writer.write(
      text,
      draw.pick(found ? wordings.guesses : wordings.surrenders).replace("{g}", "{s}"),
    ),
  );
  builder.turn("assistant", (text) =>
    writer.write(text, draw.pick(found ? wordings.rightAnswers : wordings.revelations)),
  );
  return builder.finish();
}

/** A word that is not this one. */
export function otherWord(draw: Draw, word: string): string {
  return draw.pick(secretWords.filter((other) => other !== word));
}
