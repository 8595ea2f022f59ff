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
 * falls with each further token, so that others need a run of their own only where they are longer and more probable at that point
 * than the best one so far: the outcome is that of scoring every candidate, at a small part of the work.
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
  const best: { candidate: number; total: number }[] = [];
  const open = requests.flatMap(({ prompt, candidates, gold }, request) => {
    const score = golds[request];
    if (score === undefined) return [];
    const own = candidates[gold] ?? [];
    const others = candidates.flatMap((tail, candidate) =>
      candidate === gold ? [] : [{ candidate, tail, ...bound(score, own, tail) }],
    );
    const leader = others
      .filter(({ exact }) => exact)
      .reduce((most, { candidate, total }) => (total > most.total ? { candidate, total } : most), {
        candidate: gold,
        total: score.total,
      });
    best[request] = leader;
    return others
      .filter(({ exact, total }) => !exact && total > leader.total)
      .map(({ candidate, tail }) => ({
        request,
        candidate,
        tokens: join(prompt, tail),
        from: prompt.length,
      }));
  });
  const scores = await scoreTails(model, open, options);
  for (const [index, { request, candidate }] of open.entries()) {
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

/**
 * Log-probability of a candidate up to the first token at which it differs from the one that was scored, and whether that is all of the
 * candidate.
 */
function bound(
  score: Score,
  scored: ArrayLike<number>,
  tail: ArrayLike<number>,
): { readonly total: number; readonly exact: boolean } {
  let total = 0;
  for (let place = 0; place < tail.length; place++) {
    const token = tail[place] ?? -1;
    // Longer than the scored one, and all of that is its beginning.
    if (place >= scored.length) return { total, exact: false };
    total += score.distributions[place]?.[token] ?? 0;
    if (token !== scored[place]) return { total, exact: place === tail.length - 1 };
  }
  return { total, exact: true };
}
