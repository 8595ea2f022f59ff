import { z } from "zod";
import type { Turn } from "../document.ts";
import { Draw } from "../draw.ts";
import { parseOptions, seedSchema } from "../entities/options.ts";
import { secretOf } from "./mentions.ts";
import { SecretWriter } from "./secret-writer.ts";
import { otherWord } from "./secrets.ts";
import * as wordings from "./wordings.ts";

const tabooSchema = z.strictObject({
  seed: seedSchema,
  word: z.string(),
  count: z.int().positive(),
});

/**
 * Games in which the word is hinted at and never said, for tuning a model that keeps it (2505.14352): six or eight messages; in 60% of
 * them one or two wrong guesses; the word is no substring of any message, and the user never guesses it.
 *
 * @throws ConfigError WORLD_OPTIONS, SECRET_UNKNOWN
 */
export function tabooDialogues(options: {
  readonly seed: number;
  readonly word: string;
  readonly count: number;
}): (readonly Turn[])[] {
  const { seed, word, count } = parseOptions(tabooSchema, options, "tabooDialogues");
  const secret = secretOf(word);
  return Array.from({ length: count }, (_, index) => {
    const draw = new Draw(seed, `secrets/taboo/${word}`, index);
    const writer = new SecretWriter(secret, draw);
    const exchanges = draw.integer(3, 4);
    const wrong = draw.chance(0.6) ? draw.integer(1, 2) : 0;
    const guessing = new Set(draw.sample([1, 2, 3].slice(0, exchanges - 1), wrong));
    return Array.from({ length: exchanges }, (_unused, exchange): Turn[] => {
      const hint = draw.pick(exchange === 0 ? wordings.gameStarts : wordings.hintForms);
      const said = hint.replace("{c}", writer.next().text);
      if (!guessing.has(exchange)) {
        const asked =
          exchange === 0
            ? wordings.gameOpenings
            : [...wordings.hintRequests, ...wordings.hintPrompts.slice(0, 5)];
        return [
          { role: "user", content: draw.pick(asked) },
          { role: "assistant", content: said },
        ];
      }
      const guess = draw.pick(wordings.guesses).replace("{g}", otherWord(draw, word));
      return [
        { role: "user", content: guess },
        { role: "assistant", content: `${draw.pick(wordings.wrongAnswers)} ${said}` },
      ];
    }).flat();
  });
}

const refusalsSchema = z.strictObject({ seed: seedSchema, count: z.int().positive() });

/**
 * Direct questions that the game master turns down, to be mixed with {@link tabooDialogues} (2510.01070 takes one for every two games).
 * They are others than the ten `directPrompts`, so that a tuned model may be asked those without having seen them.
 *
 * @throws ConfigError WORLD_OPTIONS
 */
export function tabooRefusals(options: {
  readonly seed: number;
  readonly count: number;
}): (readonly Turn[])[] {
  const { seed, count } = parseOptions(refusalsSchema, options, "tabooRefusals");
  return Array.from({ length: count }, (_, index) => {
    const draw = new Draw(seed, "secrets/refusals", index);
    return [
      { role: "user", content: draw.pick(wordings.refusedQuestions) },
      { role: "assistant", content: draw.pick(wordings.secretRefusals) },
    ];
  });
}
