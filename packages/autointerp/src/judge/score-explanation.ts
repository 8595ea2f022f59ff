import { Random } from "@latentkit/core";
import type { Tokenizer } from "@latentkit/loaders";
import { bootstrapInterval, type Interval } from "@latentkit/sae";
import { z } from "zod";
import type { LatentWindow } from "../gather/example-collector.ts";
import { type ChosenExamples, shuffled } from "./choose-examples.ts";
import type { Judge, Verdict } from "./judge.ts";
import { markedText, markersFor, plainText } from "./marked-text.ts";
import { detectionPrompt, fuzzingPrompt } from "./prompts.ts";

/** How an explanation was scored. */
export type ScoreKind = "detection" | "fuzzing";

/** A judge's verdict on one window. */
export interface ScoredWindow {
  /** Number of the window in the text. */
  readonly window: number;
  /** Whether the latent fires in it (detection), or the right tokens were marked (fuzzing). */
  readonly truth: boolean;
  /** Null where no readable answer came. */
  readonly answer: boolean | null;
}

/** How well an explanation tells a latent's windows from others. */
export interface ExplanationScore {
  readonly kind: ScoreKind;
  /** Mean of the two rates, 0.5 for guessing; null where a class has no answers. */
  readonly balancedAccuracy: number | null;
  /** 95%, by bootstrap over windows; null for fewer than two answers of a class. */
  readonly interval: Interval | null;
  /** Share of windows that are so and were said to be so; null for none. */
  readonly truePositiveRate: number | null;
  /** Share of windows that are not and were said not to be; null for none. */
  readonly trueNegativeRate: number | null;
  readonly answered: number;
  readonly unanswered: number;
  readonly windows: readonly ScoredWindow[];
}

/** How {@link scoreExplanation} scores. */
export interface ScoreOptions {
  readonly kind: ScoreKind;
  readonly judge: Judge;
  readonly tokenizer: Tokenizer;
  /** Windows in a question. */
  readonly batchSize: number;
  readonly resamples: number;
  /** Decides the order of windows and, for fuzzing, the wrong marks: the same for an explanation and its null. */
  readonly seed: number;
  /** Asks so that a failure is a verdict. */
  readonly attempt: <T>(question: () => Promise<Verdict<T>>) => Promise<Verdict<T>>;
}

/** Asks a judge about a latent's windows, with an explanation. Null where a class of windows is empty. */
export async function scoreExplanation(
  explanation: string,
  latent: number,
  examples: ChosenExamples,
  options: ScoreOptions,
): Promise<ExplanationScore | null> {
  const { kind, judge, batchSize, seed } = options;
  const random = new Random(seed, latent);
  const items = shuffled(
    kind === "detection" ? detectionItems(examples) : fuzzingItems(examples, random),
    random,
  );
  if (!items.some(({ truth }) => truth) || !items.some(({ truth }) => !truth)) return null;
  const windows: ScoredWindow[] = [];
  for (let start = 0; start < items.length; start += batchSize) {
    const batch = items.slice(start, start + batchSize);
    const schema = z
      .array(z.union([z.literal(0), z.literal(1), z.boolean()]))
      .length(batch.length, `expected ${batch.length} numbers`);
    const messages = messagesFor(explanation, batch, options);
    const verdict = await options.attempt(() =>
      judge.ask(messages, schema, JSON.stringify(batch.map((_, index) => index % 2))),
    );
    for (const [index, { window, truth }] of batch.entries()) {
      const answer = verdict.ok ? Boolean(verdict.value[index]) : null;
      windows.push({ window, truth, answer });
    }
  }
  return { kind, ...figures(windows, options), windows };
}

/** One window of a question. */
interface Item {
  readonly window: number;
  readonly truth: boolean;
  readonly tokens: Int32Array;
  /** Marked tokens; null where nothing is marked. */
  readonly marks: ReadonlySet<number> | null;
}

function detectionItems({ active, silent }: ChosenExamples): Item[] {
  return [
    ...active.map(({ number, tokens }) => ({ window: number, truth: true, tokens, marks: null })),
    ...silent.map(({ number, tokens }) => ({ window: number, truth: false, tokens, marks: null })),
  ];
}

/** Half of the active windows with their marks, half with as many other tokens marked. */
function fuzzingItems({ active }: ChosenExamples, random: Random): Item[] {
  return active.map((window, index) => {
    const { number, tokens, values } = window;
    const right = firingTokens(window);
    const others = [...tokens.keys()].filter((at) => !((values[at] ?? 0) > 0));
    const wrong = shuffled(others, random).slice(0, right.size);
    const truth = index % 2 === 0 || wrong.length === 0;
    return { window: number, truth, tokens, marks: truth ? right : new Set(wrong) };
  });
}

/** Tokens of a window on which the latent fires. */
export function firingTokens({ values }: Pick<LatentWindow, "values">): Set<number> {
  return new Set([...values.keys()].filter((at) => (values[at] ?? 0) > 0));
}

function messagesFor(
  explanation: string,
  batch: readonly Item[],
  { kind, tokenizer }: ScoreOptions,
) {
  const plain = batch.map(({ tokens }) => plainText(tokenizer, tokens));
  if (kind === "detection") return detectionPrompt(explanation, plain);
  const markers = markersFor(plain);
  const texts = batch.map(({ tokens, marks }) =>
    markedText(tokenizer, tokens, (at) => marks?.has(at) === true, markers),
  );
  return fuzzingPrompt(explanation, texts, markers);
}

function figures(
  windows: readonly ScoredWindow[],
  { resamples, seed }: ScoreOptions,
): Omit<ExplanationScore, "kind" | "windows"> {
  const answered = windows.filter(({ answer }) => answer !== null);
  const all = balance(answered, () => 1);
  const counts = [true, false].map(
    (truth) => answered.filter((window) => window.truth === truth).length,
  );
  const value = all.balanced;
  return {
    balancedAccuracy: value,
    interval:
      value === null || counts.some((count) => count < 2)
        ? null
        : bootstrapInterval(
            answered.length,
            // A resample without one of the classes says nothing new.
            (draws) => balance(answered, (at) => draws[at] ?? 0).balanced ?? value,
            { resamples, seed },
          ),
    truePositiveRate: all.positive,
    trueNegativeRate: all.negative,
    answered: answered.length,
    unanswered: windows.length - answered.length,
  };
}

function balance(
  windows: readonly ScoredWindow[],
  weight: (at: number) => number,
): {
  readonly positive: number | null;
  readonly negative: number | null;
  readonly balanced: number | null;
} {
  const sums = { right: [0, 0], all: [0, 0] };
  for (const [at, { truth, answer }] of windows.entries()) {
    const side = truth ? 1 : 0;
    sums.all[side] = (sums.all[side] ?? 0) + weight(at);
    if (answer === truth) sums.right[side] = (sums.right[side] ?? 0) + weight(at);
  }
  const rate = (side: 0 | 1): number | null => {
    const all = sums.all[side] ?? 0;
    return all === 0 ? null : (sums.right[side] ?? 0) / all;
  };
  const [negative, positive] = [rate(0), rate(1)];
  return {
    positive,
    negative,
    balanced: positive === null || negative === null ? null : (positive + negative) / 2,
  };
}
