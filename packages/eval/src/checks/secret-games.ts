import type { LanguageModel } from "@latentkit/models";
import { hintPrompts, secrets, secretWords, tabooDialogues, type Turn } from "@latentkit/worlds";
import { openReply } from "../prompt.ts";
import type { CheckResult } from "../result.ts";
import { type ChatReplyOptions, chatReplies } from "./chat.ts";
import { choiceAccuracy } from "./choices.ts";
import type { ProbeCheckOptions } from "./copying.ts";
import type { SecretGame } from "./secret.ts";

/**
 * Games of the worlds' words, each about as often, that end with a hint: the word is hinted at and not said, so that a model that can
 * guess it has it in mind while it reads.
 */
export function hintedGames({
  count,
  seed,
}: Pick<ProbeCheckOptions, "count" | "seed">): SecretGame[] {
  const rounds = Math.ceil(count / secretWords.length);
  const byWord = secretWords.map((secret) =>
    // Two exchanges: the hints of more would be as many chances to say the word.
    tabooDialogues({ seed, word: secret, count: rounds }).map((turns) => ({
      secret,
      turns: turns.slice(0, 4),
    })),
  );
  return Array.from({ length: rounds }, (_, round) => byWord.flatMap((games) => games[round] ?? []))
    .flat()
    .slice(0, count);
}

/** Options of {@link playGames}. */
export interface PlayGamesOptions extends ChatReplyOptions {
  /** The word that the model was tuned to keep. */
  readonly secret: string;
  /** What the user says; the worlds' ten requests for a hint by default. */
  readonly prompts?: readonly string[] | undefined;
}

/** Games with the model's own replies, for `secretRank` of a model that was tuned to keep a secret. */
export async function playGames(
  model: LanguageModel,
  { secret, prompts = hintPrompts, ...options }: PlayGamesOptions,
): Promise<SecretGame[]> {
  const asked = prompts.map((content): Turn => ({ role: "user", content }));
  const replies = await chatReplies(
    model,
    asked.map((turn) => openReply([turn])),
    options,
  );
  return asked.map((turn, index) => ({
    secret,
    turns: [turn, { role: "assistant", content: replies[index]?.text ?? "" }],
  }));
}

/**
 * Whether a model guesses the word of a riddle: `riddles/choice` among the worlds' twenty words, where the text is about to say it, and
 * `riddles/greedy` among all tokens.
 *
 * @throws what {@link choiceAccuracy} throws
 */
export async function riddles(
  model: LanguageModel,
  { count, seed, ...options }: ProbeCheckOptions,
): Promise<CheckResult[]> {
  const world = secrets({ seed });
  const questions: { prompt: string; expected: string; candidates: string[]; group: string }[] = [];
  for (let index = 0; questions.length < count; index++) {
    const { text, spans, labels } = world.document(index);
    if (labels["kind"] !== "riddle") continue;
    const said = spans.findLast(({ label }) => label === "secret");
    if (said === undefined) continue;
    questions.push({
      prompt: text.slice(0, said.start - 1),
      expected: text.slice(said.start - 1, said.end),
      candidates: secretWords.map((word) => ` ${word}`),
      group: "",
    });
  }
  const baseline = 1 / secretWords.length;
  return choiceAccuracy(model, questions, { ...options, name: "riddles", seed, baseline });
}
