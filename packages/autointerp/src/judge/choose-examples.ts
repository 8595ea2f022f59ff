import { ConfigError, Random } from "@latentkit/core";
import type {
  BackgroundWindow,
  LatentExamples,
  LatentWindow,
} from "../gather/example-collector.ts";

/** Windows of one latent for a judge: none is both explained from and scored on. */
export interface ChosenExamples {
  /** To explain from: the strongest ones, and some by strength. */
  readonly explained: readonly LatentWindow[];
  /** To score on, in which it fires. */
  readonly active: readonly LatentWindow[];
  /** To score on, in which it does not. */
  readonly silent: readonly BackgroundWindow[];
}

/** How many windows of each kind. */
export interface ChooseOptions {
  /** Strongest windows to explain from. */
  readonly strongest: number;
  /** Sampled windows to explain from, evenly spread over their strengths. */
  readonly spread: number;
  /** Windows of each class to score on. */
  readonly scored: number;
  readonly seed: number;
}

/**
 * Chooses windows of a latent. Scored windows in which it fires are sampled uniformly from the text, less those that were explained
 * from; silent ones come from the background.
 */
export function chooseExamples(
  examples: LatentExamples,
  background: readonly BackgroundWindow[],
  { strongest, spread, scored, seed }: ChooseOptions,
): ChosenExamples {
  const random = new Random(seed, examples.latent);
  const top = examples.top.slice(0, strongest);
  const taken = new Set(top.map(({ number }) => number));
  const rest = shuffled(
    examples.sample.filter(({ number }) => !taken.has(number)),
    random,
  );
  // At most half of what is left is explained from: a score needs examples of its own.
  const some = rest.slice(0, Math.min(spread, Math.floor(rest.length / 2)));
  for (const { number } of some) taken.add(number);
  const explained = [...top, ...some.toSorted((a, b) => b.maximum - a.maximum)];
  return {
    explained,
    active: rest.filter(({ number }) => !taken.has(number)).slice(0, scored),
    silent: shuffled(
      background.filter(({ firing }) => !firing.has(examples.latent)),
      random,
    ).slice(0, scored),
  };
}

/** A random order. */
export function shuffled<T>(values: readonly T[], random: Random): T[] {
  return [...random.permutation(values.length)].flatMap((at) => {
    const value = values[at];
    return value === undefined ? [] : [value];
  });
}

/**
 * Somebody else for each: a permutation without fixed points, by rotation of a random order.
 *
 * @throws ConfigError `JUDGE_NULL` for fewer than two
 */
export function derangement(count: number, random: Random): Int32Array {
  if (count < 2) {
    throw new ConfigError({
      code: "JUDGE_NULL",
      message: `${count} explanations cannot be exchanged among themselves`,
      fix: "interpret at least two latents, or turn the null off",
    });
  }
  const order = random.permutation(count);
  const other = new Int32Array(count);
  for (let at = 0; at < count; at++) other[order[at] ?? 0] = order[(at + 1) % count] ?? 0;
  return other;
}
