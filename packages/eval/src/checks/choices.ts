import { ConfigError } from "@latentkit/core";
import type { LanguageModel } from "@latentkit/models";
import { encodePrompt, tokenizerOf } from "../prompt.ts";
import { type Choice, chooseAmong } from "../reading/choose.ts";
import type { ReadingOptions } from "../reading/read-rows.ts";
import type { CheckResult } from "../result.ts";
import { wilson } from "../statistics/wilson.ts";

/** A prompt with one right continuation among some. */
export interface ChoiceQuestion {
  /** Text so far; texts of chats hold the marks of turns. */
  readonly prompt: string;
  /** The right continuation, with the space before it. */
  readonly expected: string;
  /** All continuations that could stand there, the right one among them. */
  readonly candidates: readonly string[];
  /** Questions of one group are counted together, for example `known`. */
  readonly group: string;
  /** What the candidates are values of, for example `people/home`: the baseline guesses the commonest answer of each. */
  readonly kind?: string | undefined;
}

/** How {@link choiceAccuracy} names and counts. */
export interface ChoiceOptions extends ReadingOptions {
  /** First part of the results' names. */
  readonly name: string;
  /** Noted in the results: the seed of the questions. */
  readonly seed: number;
  /** Whether there is a second result for greedy exact matches; on by default. */
  readonly withGreedy?: boolean | undefined;
  /** What guessing gets, where that is known; else the share of the commonest answer of each kind among the questions. */
  readonly baseline?: number | undefined;
}

/**
 * How often the right continuation is the most probable one of the candidates (`NAME/GROUP/choice`), and how often greedy generation
 * gives it (`NAME/GROUP/greedy`). Intervals are Wilson's.
 *
 * @throws ConfigError `CHECK_QUESTIONS` for no questions, or one whose right answer is not among its candidates; what `model.run` throws
 */
export async function choiceAccuracy(
  model: LanguageModel,
  questions: readonly ChoiceQuestion[],
  options: ChoiceOptions,
): Promise<CheckResult[]> {
  const choices = await answerChoices(model, questions, options);
  const groups = new Map<string, number[]>();
  for (const [index, { group }] of questions.entries())
    groups.set(group, [...(groups.get(group) ?? []), index]);
  return [...groups].flatMap(([group, members]) => {
    const own = members.flatMap((index) => choices[index] ?? []);
    const baseline =
      options.baseline ?? majorityShare(members.flatMap((index) => questions[index] ?? []));
    const name = group === "" ? options.name : `${options.name}/${group}`;
    const share = (what: string, count: number): CheckResult => ({
      name: `${name}/${what}`,
      n: own.length,
      value: count / own.length,
      interval: wilson(count, own.length),
      baseline,
      unit: "share",
      seed: options.seed,
    });
    const chosen = share("choice", own.filter(({ correct }) => correct).length);
    if (options.withGreedy === false) return [chosen];
    return [chosen, share("greedy", own.filter(({ greedy }) => greedy).length)];
  });
}

/** What the model makes of each question. Throws as {@link choiceAccuracy}. */
export async function answerChoices(
  model: LanguageModel,
  questions: readonly ChoiceQuestion[],
  options: ReadingOptions & { readonly name: string },
): Promise<Choice[]> {
  if (questions.length === 0) throw invalid(options.name, "there are no questions");
  const tokenizer = tokenizerOf(model);
  const known = new Map<string, Int32Array>();
  const encode = (text: string): Int32Array => {
    const ids = known.get(text) ?? tokenizer.encode(text).ids;
    known.set(text, ids);
    return ids;
  };
  const requests = questions.map(({ prompt, expected, candidates }, index) => {
    const distinct = [...new Set(candidates)];
    const gold = distinct.indexOf(expected);
    if (gold < 0)
      throw invalid(
        options.name,
        `question ${index} has "${expected}" as its answer, and not among its ${candidates.length} candidates`,
      );
    return { prompt: encodePrompt(model, prompt), candidates: distinct.map(encode), gold };
  });
  return chooseAmong(model, requests, { stage: options.name, ...options });
}

/** The share that always giving each kind's commonest answer gets. */
export function majorityShare(
  questions: readonly Pick<ChoiceQuestion, "expected" | "kind">[],
): number {
  const counts = new Map<string, Map<string, number>>();
  for (const { expected, kind = "" } of questions) {
    const own = counts.get(kind) ?? new Map<string, number>();
    own.set(expected, (own.get(expected) ?? 0) + 1);
    counts.set(kind, own);
  }
  let right = 0;
  for (const own of counts.values()) right += Math.max(...own.values());
  return right / questions.length;
}

function invalid(name: string, message: string): ConfigError {
  return new ConfigError({
    code: "CHECK_QUESTIONS",
    message: `${name}: ${message}`,
    fix: "give at least one question, each with its right answer among the candidates",
    where: name,
  });
}
