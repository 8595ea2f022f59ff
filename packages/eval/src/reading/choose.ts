import type { LanguageModel } from "@latentkit/models";
import type { ReadingOptions } from "./read-rows.ts";
import { type Score, scoreTails } from "./score.ts";

/** A prompt with several continuations to choose among. */
export interface ChoiceRequest {
  readonly prompt: ArrayLike<number>;
  /** Token ids of each continuation; all different, none empty. */
  readonly candidates: readonly ArrayLike<number>[];
  /** Index of the right one. */
  readonly gold: number;
}

/** What the model makes of a {@link ChoiceRequest}. */
export interface Choice {
  /** Whether no other candidate has a higher summed log-probability than the right one. */
  readonly correct: boolean;
  /** Whether greedy generation gives the right one, token by token. */
  readonly greedy: boolean;
  /** Summed log-probability of the right one. */
  readonly goldScore: number;
  /** Index of the candidate that beat the right one, or of the right one. */
  readonly chosen: number;
}

/**
 * Which candidate a model finds most probable, by the sum of its tokens' log-probabilities.
 *
 * The right one is scored in full, which tells too how probable each other one is up to the token at which it goes its own way. A sum only
 * falls with each further token, so that others need a score of their own only where they are more probable than all of the right one
 * at that point: the outcome is that of scoring every candidate, at a small part of the work.
 *
 * @throws what {@link scoreTails} throws
 */
export async function chooseAmong(
  model: LanguageModel,
  requests: readonly ChoiceRequest[],
  options: ReadingOptions = {},
): Promise<Choice[]> {
  const join = (prompt: ArrayLike<number>, tail: ArrayLike<number>): Int32Array =>
    Int32Array.of(...Array.from(prompt), ...Array.from(tail));
  const golds = await scoreTails(
    model,
    requests.map(({ prompt, candidates, gold }) => ({
      tokens: join(prompt, candidates[gold] ?? []),
      from: prompt.length,
    })),
    { ...options, withDistributions: true },
  );
  const rivals = requests.flatMap(({ prompt, candidates, gold }, request) => {
    const score = golds[request];
    const own = candidates[gold] ?? [];
    return candidates.flatMap((tail, candidate) => {
      if (candidate === gold || score === undefined || bound(score, own, tail) <= score.total)
        return [];
      return [{ request, candidate, tokens: join(prompt, tail), from: prompt.length }];
    });
  });
  const scores = await scoreTails(model, rivals, options);
  const best = golds.map((score, request) => ({
    candidate: requests[request]?.gold ?? 0,
    total: score.total,
  }));
  for (const [index, { request, candidate }] of rivals.entries()) {
    const total = scores[index]?.total ?? Number.NEGATIVE_INFINITY;
    const leader = best[request];
    if (leader !== undefined && total > leader.total) best[request] = { candidate, total };
  }
  return golds.map((score: Score, request) => {
    const chosen = best[request]?.candidate ?? 0;
    return {
      correct: chosen === requests[request]?.gold,
      greedy: score.greedy,
      goldScore: score.total,
      chosen,
    };
  });
}

/** Log-probability of a candidate up to the first token at which it differs from the one that was scored. */
function bound(score: Score, scored: ArrayLike<number>, tail: ArrayLike<number>): number {
  let sum = 0;
  for (let place = 0; place < tail.length; place++) {
    const token = tail[place] ?? -1;
    // Longer than the scored one, and all of that is its beginning.
    if (place >= scored.length) return sum;
    sum += score.distributions[place]?.[token] ?? 0;
    if (token !== scored[place]) return sum;
  }
  return sum;
}
