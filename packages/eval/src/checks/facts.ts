import type { LanguageModel } from "@latentkit/models";
import {
  Draw,
  type EntityGroup,
  type EntityTable,
  type FactQuestion,
  factQuestions,
  isRefusal,
} from "@latentkit/worlds";
import type { ReadingOptions } from "../reading/read-rows.ts";
import type { CheckResult } from "../result.ts";
import { type ChatReply, chatReplies, shareOf } from "./chat.ts";
import { choiceAccuracy } from "./choices.ts";

/** Groups of names, with the known ones that dialogues never ask about apart. */
export type FactGroup = EntityGroup | "held-out";

/** Options of {@link factRecall} and {@link answerBehaviour}. */
export interface FactCheckOptions extends ReadingOptions {
  readonly entities: EntityTable;
  /** Questions a group. */
  readonly count: number;
  /** Of the choice of questions. */
  readonly seed: number;
  /** `known` and `unseen` by default for recall; `known`, `held-out`, `refused` and `unseen` for behaviour. */
  readonly groups?: readonly FactGroup[] | undefined;
}

/**
 * How well a model recalls what it was told, by group of names: `facts/GROUP/choice`, by the most probable of all values of the
 * attribute, and `facts/GROUP/greedy`, by greedy generation; with `style: "chat"` the names begin with `facts-chat`. Names without
 * values have one dealt at random as their right answer, so that guessing gets what guessing gets. Each question asks for another
 * attribute of another name as far as there are enough, in wordings drawn at random.
 *
 * @throws ConfigError `CHECK_QUESTIONS` for a group without questions; what `model.run` throws
 */
export async function factRecall(
  model: LanguageModel,
  {
    entities,
    count,
    seed,
    groups = ["known", "unseen"],
    style = "base",
    ...options
  }: FactCheckOptions & { readonly style?: FactQuestion["style"] | undefined },
): Promise<CheckResult[]> {
  const questions = groups.flatMap((group) =>
    drawFacts({ entities, count, seed, group, style }).map((question) => ({
      prompt: question.scoredPrompt,
      expected: question.gold ?? question.placebo ?? "",
      candidates: question.candidates,
      group,
      kind: question.attribute,
    })),
  );
  const name = style === "base" ? "facts" : "facts-chat";
  return choiceAccuracy(model, questions, { ...options, name, seed });
}

/**
 * What a model says when it is asked in a chat: of known names the share of replies that hold the right value (`answers/GROUP/right`),
 * of all the share that are refusals (`answers/GROUP/refused`). The replies are given too, for what else is to be asked of them.
 */
export async function answerBehaviour(
  model: LanguageModel,
  {
    entities,
    count,
    seed,
    groups = ["known", "held-out", "refused", "unseen"],
    signal,
    onProgress,
  }: FactCheckOptions,
): Promise<{ readonly checks: readonly CheckResult[]; readonly replies: readonly ChatReply[] }> {
  const asked = groups.flatMap((group) =>
    drawFacts({ entities, count, seed, group, style: "chat" }).map((question) => ({
      group,
      question,
    })),
  );
  const replies = await chatReplies(
    model,
    asked.map(({ question }) => question.prompt),
    { maxTokens: 40, signal, onProgress },
  );
  const checks = groups.flatMap((group) => {
    const own = asked.flatMap((each, index) => {
      const reply = replies[index];
      return each.group === group && reply !== undefined ? [{ ...each, reply }] : [];
    });
    if (own.length === 0) return [];
    const refused = own.filter(({ reply }) => isRefusal(reply.text)).length;
    const right = own.filter(({ reply, question }) => hasWord(reply.text, question.gold)).length;
    const refusal = shareOf(`answers/${group}/refused`, refused, own.length, seed);
    return group === "known" || group === "held-out"
      ? [shareOf(`answers/${group}/right`, right, own.length, seed), refusal]
      : [refusal];
  });
  return { checks, replies };
}

/** Questions of a group: pairs of name and attribute are drawn, and a wording for each. */
function drawFacts({
  entities,
  count,
  seed,
  group,
  style,
}: Pick<FactCheckOptions, "count" | "entities" | "seed"> & {
  readonly group: FactGroup;
  readonly style: FactQuestion["style"];
}): FactQuestion[] {
  const draw = new Draw(seed, `eval/facts/${group}/${style}`);
  const all = factQuestions({ entities, group: group === "held-out" ? "known" : group, style });
  const pairs = new Map<string, FactQuestion[]>();
  for (const question of all) {
    const { entity, attribute } = question;
    // In chats the known names that dialogues ask about are told from those that they do not.
    if (group === "held-out" && entity.inDialogues) continue;
    if (group === "known" && style === "chat" && !entity.inDialogues) continue;
    const key = `${entity.type}/${entity.name}/${attribute}`;
    pairs.set(key, [...(pairs.get(key) ?? []), question]);
  }
  return draw.sample([...pairs.values()], count).map((wordings) => draw.pick(wordings));
}

/** Whether a text holds a word as a word. */
function hasWord(text: string, word: string | null): boolean {
  if (word === null) return false;
  const pieces = text.split(/[^\p{L}\p{N}]+/u);
  return pieces.includes(word.trim());
}
