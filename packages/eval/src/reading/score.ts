import { ConfigError } from "@latentkit/core";
import type { LanguageModel } from "@latentkit/models";
import { argmax, crossEntropy, logSoftmax } from "@latentkit/tensor";
import { lastResidual, type ReadingOptions, readRows } from "./read-rows.ts";

/** A sequence whose tail is to be scored. */
export interface ScoreRequest {
  readonly tokens: ArrayLike<number>;
  /** Position of the first token that counts; at least 1. */
  readonly from: number;
}

/** How probable a tail is. */
export interface Score {
  /** ln of the probability of each token of the tail, given all before it. */
  readonly logProbabilities: Float64Array;
  /** Their sum. */
  readonly total: number;
  /** Whether each token of the tail is the model's most probable one: greedy generation gives this tail. */
  readonly greedy: boolean;
  /** The model's most probable token at each place of the tail. */
  readonly best: Int32Array;
  /** ln of the probabilities of all tokens at each place of the tail, where asked for; else empty. */
  readonly distributions: readonly Float32Array[];
}

/** Options of {@link scoreTails}. */
export interface ScoreOptions extends ReadingOptions {
  /** Whether scores hold `distributions`; off by default, since they are large. */
  readonly withDistributions?: boolean | undefined;
}

/**
 * Log-probabilities of the tails of sequences, in batches.
 *
 * @throws ConfigError `SCORE_TAIL` for a tail that is empty or begins at the first token; what `model.run` throws; AbortedError
 */
export async function scoreTails(
  model: LanguageModel,
  requests: readonly ScoreRequest[],
  { withDistributions = false, ...options }: ScoreOptions = {},
): Promise<Score[]> {
  const site = lastResidual(model);
  const scores: Score[] = [];
  const reads = requests.map(({ tokens, from }, index) => {
    if (from < 1 || from >= tokens.length) {
      throw new ConfigError({
        code: "SCORE_TAIL",
        message: `sequence ${index} has ${tokens.length} tokens, and its tail begins at ${from}`,
        fix: "give at least one token before the tail and one in it",
      });
    }
    return { tokens, positions: range(from - 1, tokens.length - 1) };
  });
  const { device } = model;
  const { vocabulary } = model.config;
  await readRows(
    model,
    reads,
    [site],
    ({ requests: chosen, rows }) => {
      const hidden = rows.get(site);
      if (hidden === undefined) return null;
      const logits = model.readOut(hidden);
      const wanted = chosen.flatMap((index) => tailOf(requests[index]));
      const losses = crossEntropy(logits, device.tensor(Int32Array.from(wanted), [wanted.length]));
      const best = argmax(logits);
      return { losses, best, all: withDistributions ? logSoftmax(logits) : null };
    },
    async (result, chosen) => {
      if (result === null) return;
      const losses = await result.losses.floats();
      const best = await result.best.integers();
      const all = await result.all?.floats();
      for (const tensor of [result.losses, result.best, result.all]) tensor?.dispose();
      let at = 0;
      for (const index of chosen) {
        const tail = tailOf(requests[index]);
        const own = Float64Array.from(losses.subarray(at, at + tail.length), (loss) => -loss);
        const ownBest = best.slice(at, at + tail.length);
        scores[index] = {
          logProbabilities: own,
          total: own.reduce((sum, value) => sum + value, 0),
          greedy: tail.every((token, place) => ownBest[place] === token),
          best: ownBest,
          distributions:
            all === undefined
              ? []
              : tail.map((_, place) =>
                  all.slice((at + place) * vocabulary, (at + place + 1) * vocabulary),
                ),
        };
        at += tail.length;
      }
    },
    options,
  );
  return scores;
}

function tailOf(request: ScoreRequest | undefined): number[] {
  return request === undefined ? [] : Array.from(request.tokens).slice(request.from);
}

function range(start: number, end: number): number[] {
  return Array.from({ length: end - start }, (_, index) => start + index);
}
