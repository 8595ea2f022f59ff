import { Random } from "@latentkit/core";
import type { LanguageModel } from "@latentkit/models";
import { bindingProbes, copyProbes, specialTokens } from "@latentkit/worlds";
import type { ReadingOptions } from "../reading/read-rows.ts";
import { scoreTails } from "../reading/score.ts";
import type { CheckResult } from "../result.ts";
import { bootstrapMean } from "../statistics/bootstrap.ts";
import { choiceAccuracy } from "./choices.ts";

/** How many probes, and which. */
export interface ProbeCheckOptions extends ReadingOptions {
  readonly count: number;
  readonly seed: number;
}

/**
 * Whether a model goes on with a random sequence of words as it went the first time: `copying/words/choice` among the words of the
 * sequence, `copying/words/greedy` among all tokens. The baseline is a guess among the words that have not been said again.
 */
export async function copying(
  model: LanguageModel,
  { count, seed, ...options }: ProbeCheckOptions,
): Promise<CheckResult[]> {
  const probes = copyProbes({ seed, count });
  const chance = probes.map(({ words, known }) => 1 / (words.length - known));
  const questions = probes.map(({ prompt, expected, words }) => ({
    prompt,
    expected,
    candidates: words.map((word) => ` ${word}`),
    group: "words",
  }));
  const baseline = chance.reduce((sum, value) => sum + value, 0) / chance.length;
  return choiceAccuracy(model, questions, { ...options, name: "copying", seed, baseline });
}

/**
 * Whether a model says of each of two ideas what the text said of it: `binding/choice` between the right value and the other idea's. A
 * model that knows which values were named, and not of which idea, gets half of them.
 */
export async function binding(
  model: LanguageModel,
  { count, seed, ...options }: ProbeCheckOptions,
): Promise<CheckResult[]> {
  const questions = bindingProbes({ seed, count }).map(({ prompt, expected, distractor }) => ({
    prompt,
    expected,
    candidates: [expected, distractor],
    group: "",
  }));
  return choiceAccuracy(model, questions, { ...options, name: "binding", seed, baseline: 0.5 });
}

/**
 * Induction on what no text holds: sequences of random tokens, each given twice (`induction/greedy`). Counted are the tokens of the
 * second time but the first, at which a model cannot know that the sequence repeats. Interval by bootstrap over sequences; the baseline
 * is a guess among the sequence's tokens.
 */
export async function induction(
  model: LanguageModel,
  { count, seed, length = 24, ...options }: ProbeCheckOptions & { readonly length?: number },
): Promise<CheckResult> {
  const { vocabulary } = model.config;
  const marks = new Set(specialTokens.flatMap((mark) => model.tokenizer?.tokenId(mark) ?? []));
  const start = model.tokenizer?.tokenId(specialTokens[0] ?? "") ?? null;
  const requests = Array.from({ length: count }, (_, index) => {
    const random = new Random(seed, index);
    const sequence: number[] = [];
    while (sequence.length < length) {
      const token = random.integer(vocabulary);
      if (!marks.has(token)) sequence.push(token);
    }
    const before = start === null ? [] : [start];
    return {
      tokens: [...before, ...sequence, ...sequence],
      from: before.length + length + 1,
    };
  });
  const scores = await scoreTails(model, requests, { stage: "induction", ...options });
  const hits: number[] = [];
  const clusters: number[] = [];
  for (const [index, { best }] of scores.entries()) {
    const { tokens = [], from = 0 } = requests[index] ?? {};
    for (const [place, token] of best.entries()) {
      hits.push(token === tokens[from + place] ? 1 : 0);
      clusters.push(index);
    }
  }
  return {
    name: "induction/greedy",
    n: count,
    value: hits.reduce((sum, hit) => sum + hit, 0) / hits.length,
    interval: bootstrapMean(hits, { clusters, seed }),
    baseline: 1 / length,
    unit: "share",
    seed,
  };
}
