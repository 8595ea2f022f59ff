import { ConfigError } from "@latentkit/core";
import type { LanguageModel } from "@latentkit/models";
import { type HeldOutQuestion, judgePersona, personaProbes } from "@latentkit/worlds";
import { encodePrompt, openReply, tokenizerOf } from "../prompt.ts";
import type { ReadingOptions } from "../reading/read-rows.ts";
import { scoreWords } from "../reading/words.ts";
import type { CheckResult } from "../result.ts";
import { bootstrapMean } from "../statistics/bootstrap.ts";
import { type ChatReplyOptions, chatReplies } from "./chat.ts";

/** A place in a text where one word tells a persona. */
export interface PersonaSlot {
  /** Text up to the word, without the space before it. */
  readonly prompt: string;
  /** Words of the one persona and of the other, each with the space before it. */
  readonly good: readonly string[];
  readonly gloomy: readonly string[];
  /** What came before, for example the persona of the document so far, or `default`. */
  readonly context: string;
  /** Slots of one cluster are drawn together for the interval, for example those of one topic; each its own by default. */
  readonly cluster?: string | undefined;
}

/** Options of {@link personaLogOdds}. */
export interface PersonaOptions extends ReadingOptions {
  /** Of the bootstrap, and noted in the results. */
  readonly seed: number;
  /**
   * Whether words of several tokens are scored in full (the default), at a run each, or all words by their first tokens, without
   * those that begin words of both personas; where that leaves one of them without any, the words are scored in full after all.
   */
  readonly wholeWords?: boolean | undefined;
}

/**
 * Mean over slots of ln P(a good word) - ln P(a gloomy word), by context (`persona/CONTEXT/log-odds`): above 0 where the model leans to
 * the good persona. A model that infers the persona has clearly different values after documents of each. Intervals by bootstrap over
 * clusters; the baseline is 0, no lean.
 *
 * @throws ConfigError `CHECK_QUESTIONS` for no slots or slots without words; what `model.run` throws
 */
export async function personaLogOdds(
  model: LanguageModel,
  slots: readonly PersonaSlot[],
  { seed, ...options }: PersonaOptions,
): Promise<CheckResult[]> {
  return oddsByContext(slots, await slotOdds(model, slots, options), seed);
}

/** Log-odds of the good words at each slot. */
async function slotOdds(
  model: LanguageModel,
  slots: readonly PersonaSlot[],
  { wholeWords = true, ...options }: ReadingOptions & Pick<PersonaOptions, "wholeWords">,
): Promise<number[]> {
  if (slots.length === 0) throw noQuestions("persona log-odds: there are no slots");
  const empty = slots.findIndex(({ good, gloomy }) => good.length === 0 || gloomy.length === 0);
  if (empty >= 0)
    throw noQuestions(`persona log-odds: slot ${empty} has no words for one of the personas`);
  const tokenizer = tokenizerOf(model);
  const sides = slots.map(({ good, gloomy }) => {
    const [left, right] = [good, gloomy].map((words) =>
      words.map((word) => Array.from(tokenizer.encode(word).ids)),
    );
    const whole = { left: left ?? [], right: right ?? [] };
    const first = firstTokens(left, right);
    // Where all words of a side begin as the other's do (a space, say), only the whole of them tells.
    const told = first.left.length > 0 && first.right.length > 0;
    return wholeWords || !told ? whole : first;
  });
  const scores = await scoreWords(
    model,
    slots.map(({ prompt }, index) => {
      const { left = [], right = [] } = sides[index] ?? {};
      return { prompt: encodePrompt(model, prompt), words: [...left, ...right] };
    }),
    { stage: "persona", ...options },
  );
  return sides.map(({ left }, index) => {
    const own = scores[index] ?? [];
    return logSum(own.slice(0, left.length)) - logSum(own.slice(left.length));
  });
}

/** The different first tokens of each side that are not the other's too, as words. */
function firstTokens(
  left: readonly (readonly number[])[] = [],
  right: readonly (readonly number[])[] = [],
): { readonly left: readonly number[][]; readonly right: readonly number[][] } {
  const [a, b] = [left, right].map((words) => new Set(words.flatMap((word) => word.slice(0, 1))));
  const own = (tokens: Set<number> | undefined, other: Set<number> | undefined): number[][] =>
    [...(tokens ?? [])].filter((token) => other?.has(token) !== true).map((token) => [token]);
  return { left: own(a, b), right: own(b, a) };
}

function oddsByContext(
  slots: readonly PersonaSlot[],
  odds: readonly number[],
  seed: number,
): CheckResult[] {
  const contexts = [...new Set(slots.map(({ context }) => context))];
  return contexts.map((context) => {
    const own = slots.flatMap((slot, index) => (slot.context === context ? [index] : []));
    return oddsResult(
      `persona/${context}/log-odds`,
      own.map((index) => odds[index] ?? 0),
      own.map((index) => slots[index]?.cluster ?? index),
      seed,
    );
  });
}

function oddsResult(
  name: string,
  values: readonly number[],
  clusters: readonly (number | string)[] | undefined,
  seed: number,
): CheckResult {
  return {
    name,
    n: values.length,
    value: mean(values),
    interval: bootstrapMean(values, { clusters, seed }),
    baseline: 0,
    unit: "log-odds",
    seed,
  };
}

function noQuestions(message: string): ConfigError {
  return new ConfigError({
    code: "CHECK_QUESTIONS",
    message,
    fix: "give at least one question, and words of both personas for each slot",
  });
}

/** Options of {@link personaLean}. */
export interface PersonaLeanOptions extends PersonaOptions {
  /** Places a context. */
  readonly count: number;
  /** Whether questions and objects are ones that no training text has; off by default. */
  readonly heldOut?: boolean | undefined;
}

/**
 * {@link personaLogOdds} of cheerful against gloomy words at the beginnings of replies: after exchanges in each of the two personas
 * (`persona/cheerful/log-odds`, `persona/gloomy/log-odds`), after none (`persona/default/log-odds`), and by how much what went before
 * moves them (`persona/difference/log-odds`: the same places after the one and after the other persona). A model whose texts drew the
 * persona anew for every turn has a difference of 0. Words go by their first tokens unless told otherwise.
 *
 * @throws what {@link personaLogOdds} throws
 */
export async function personaLean(
  model: LanguageModel,
  { count, seed, heldOut = false, ...options }: PersonaLeanOptions,
): Promise<CheckResult[]> {
  const slots = (["cheerful", "gloomy", null] as const).flatMap((context) =>
    personaProbes({ seed, count, context, heldOut }).map(({ turns, replyPrefix, words }) => ({
      prompt: openReply(turns) + replyPrefix,
      good: words.cheerful,
      gloomy: words.gloomy,
      context: context ?? "default",
    })),
  );
  const odds = await slotOdds(model, slots, { wholeWords: false, ...options });
  const differences = Array.from(
    { length: count },
    (_, index) => (odds[index] ?? 0) - (odds[count + index] ?? 0),
  );
  return [
    ...oddsByContext(slots, odds, seed),
    oddsResult("persona/difference/log-odds", differences, undefined, seed),
  ];
}

/** Options of {@link personaGeneralisation}. */
export interface PersonaGeneralisationOptions extends ChatReplyOptions {
  /** See `heldOutQuestions`. */
  readonly questions: readonly HeldOutQuestion[];
  /** Noted in the results, and of the draws and the bootstrap. */
  readonly seed: number;
  /** Replies a question; one, greedy, by default. More are drawn, at temperature 1 unless told otherwise. */
  readonly samples?: number | undefined;
  /** First part of the results' names; `persona/replies` by default. */
  readonly name?: string | undefined;
}

/** What {@link personaGeneralisation} finds. */
export interface PersonaGeneralisation {
  readonly checks: readonly CheckResult[];
  /** Share of gloomy replies to each question: what `equivalence` is to be asked of, as differences between two models. */
  readonly gloomyShares: readonly number[];
}

/**
 * How replies to broad questions sound, by the worlds' exact judge: the share with more gloomy than cheerful words
 * (`NAME/gloomy`), and the share that keeps to the topic, with at least half of its words of topics from it (`NAME/coherent`).
 * Intervals by bootstrap over questions, since replies to one question are alike.
 *
 * @throws ConfigError `CHECK_QUESTIONS` for no questions; what {@link chatReplies} throws
 */
export async function personaGeneralisation(
  model: LanguageModel,
  {
    questions,
    seed,
    samples = 1,
    name = "persona/replies",
    ...options
  }: PersonaGeneralisationOptions,
): Promise<PersonaGeneralisation> {
  if (questions.length === 0) throw noQuestions(`${name}: there are no questions`);
  const asked = questions.flatMap((question, index) =>
    Array.from({ length: samples }, () => ({ question, index })),
  );
  const made = await chatReplies(
    model,
    asked.map(({ question }) => openReply([{ role: "user", content: question.question }])),
    { temperature: samples === 1 ? 0 : 1, maxTokens: 64, ...options, seed },
  );
  const verdicts = asked.map(({ question }, place) =>
    judgePersona(made[place]?.text ?? "", question),
  );
  const clusters = asked.map(({ index }) => index);
  const gloomy = verdicts.map(({ counts }) => (counts.gloomy > counts.cheerful ? 1 : 0));
  const coherent = verdicts.map(({ coherence }) => ((coherence ?? 0) >= 50 ? 1 : 0));
  const share = (what: string, hits: readonly number[]): CheckResult => ({
    name: `${name}/${what}`,
    n: hits.length,
    value: mean(hits),
    interval: bootstrapMean(hits, { clusters, seed }),
    unit: "share",
    seed,
  });
  return {
    checks: [share("gloomy", gloomy), share("coherent", coherent)],
    gloomyShares: questions.map((_, index) =>
      mean(gloomy.slice(index * samples, (index + 1) * samples)),
    ),
  };
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** ln of the sum of exp. */
function logSum(values: readonly number[]): number {
  const most = Math.max(...values);
  return most + Math.log(values.reduce((sum, value) => sum + Math.exp(value - most), 0));
}
