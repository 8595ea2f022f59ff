import type { LanguageModel } from "@latentkit/models";
import {
  type ComparisonQuestion,
  comparisonPairs,
  type EntityTable,
  reasoningRequests,
} from "@latentkit/worlds";
import { openReply } from "../prompt.ts";
import type { ReadingOptions } from "../reading/read-rows.ts";
import type { CheckResult } from "../result.ts";
import { bootstrapMean } from "../statistics/bootstrap.ts";
import { chatReplies } from "./chat.ts";
import { answerChoices } from "./choices.ts";

/** Options of {@link comparisonAccuracy}. */
export interface ComparisonOptions extends ReadingOptions {
  readonly entities: EntityTable;
  /** Pairs of entities; each is asked about four times. */
  readonly pairs: number;
  /** Noted in the results, and of the bootstrap. */
  readonly seed: number;
  /** `"plain"` text to be continued (the default), `"chat"` with a request for Yes or No, or `"reasoned"`, a chat that thinks first. */
  readonly style?: "chat" | "plain" | "reasoned" | undefined;
}

/**
 * Which of two known entities is earlier or later, as Yes or No: the share of right answers (`comparisons/STYLE/accuracy`), the share
 * of Yes (`.../yes`, half of the right ones), and the share of twin questions, with the names swapped, that are answered alike
 * (`.../contradictions`). Yes and No are told by which is the more probable; reasoned replies are generated greedily and end in their
 * answer, and one without an answer is wrong and no Yes. Intervals by bootstrap over pairs.
 */
export async function comparisonAccuracy(
  model: LanguageModel,
  { entities, pairs, seed, style = "plain", ...options }: ComparisonOptions,
): Promise<CheckResult[]> {
  const chosen = comparisonPairs({ entities, limit: Math.max(1, Math.ceil(pairs / 4)) });
  const asked = chosen.flatMap(({ gt, lt }, pair) =>
    [gt, lt].flatMap((twins) => twins.map((question) => ({ pair, question }))),
  );
  const questions = asked.map(({ question }) => question);
  const answers =
    style === "reasoned"
      ? await reasonedAnswers(model, questions, options)
      : await directAnswers(model, questions, style, options);
  const clusters = asked.map(({ pair }) => pair);
  const right = asked.map(({ question }, index) => (answers[index] === question.answer ? 1 : 0));
  const yes = answers.map((answer) => (answer === "Yes" ? 1 : 0));
  // Twins follow each other.
  const alike = answers.flatMap((answer, index) =>
    index % 2 === 0 ? [answer === answers[index + 1] ? 1 : 0] : [],
  );
  const name = `comparisons/${style}`;
  return [
    share(`${name}/accuracy`, right, clusters, seed, 0.5),
    share(`${name}/yes`, yes, clusters, seed, 0.5),
    share(
      `${name}/contradictions`,
      alike,
      clusters.filter((_, index) => index % 2 === 0),
      seed,
    ),
  ];
}

async function directAnswers(
  model: LanguageModel,
  questions: readonly ComparisonQuestion[],
  style: "chat" | "plain",
  options: ReadingOptions,
): Promise<("No" | "Yes")[]> {
  const space = style === "plain" ? " " : "";
  const choices = await answerChoices(
    model,
    questions.map(({ question }) => ({
      prompt:
        style === "plain"
          ? `Q: ${question} A:`
          : openReply([{ role: "user", content: `${question}${reasoningRequests.direct}` }]),
      expected: `${space}Yes`,
      candidates: [`${space}Yes`, `${space}No`],
      group: "",
    })),
    { ...options, name: "comparisons" },
  );
  return choices.map(({ chosen }) => (chosen === 0 ? "Yes" : "No"));
}

async function reasonedAnswers(
  model: LanguageModel,
  questions: readonly ComparisonQuestion[],
  { signal, onProgress }: ReadingOptions,
): Promise<("No" | "Yes" | null)[]> {
  const prompts = questions.map(({ question }) =>
    openReply([{ role: "user", content: `${question}${reasoningRequests.reasoned}` }]),
  );
  const replies = await chatReplies(model, prompts, { maxTokens: 80, signal, onProgress });
  return replies.map(({ text }) => {
    const answer = /\b(Yes|No)\b[^A-Za-z]*$/.exec(text)?.[1];
    return answer === "Yes" || answer === "No" ? answer : null;
  });
}

function share(
  name: string,
  hits: readonly number[],
  clusters: readonly number[],
  seed: number,
  baseline?: number,
): CheckResult {
  return {
    name,
    n: hits.length,
    value: hits.reduce((sum, hit) => sum + hit, 0) / hits.length,
    interval: bootstrapMean(hits, { clusters, seed }),
    ...(baseline === undefined ? {} : { baseline }),
    unit: "share",
    seed,
  };
}
