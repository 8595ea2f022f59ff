import { ConfigError, type Random } from "@latentkit/core";

/** How the next token is drawn from its logits. */
export interface SamplingOptions {
  /** Divides the logits; 0, the default, takes the most probable token (greedy). */
  readonly temperature?: number;
  /** Draws among the k most probable tokens only. */
  readonly topK?: number;
  /** Draws among the most probable tokens that together reach this probability (nucleus sampling, 1904.09751). */
  readonly topP?: number;
  /**
   * Draws among tokens that are at least this fraction as probable as the most probable one (2407.01082), of those that `topK` and
   * `topP` leave.
   */
  readonly minP?: number;
}

/** A token and the natural logarithm of the probability that the model itself gave it (temperature 1, no cut-offs). */
export interface SampledToken {
  readonly token: number;
  readonly logProbability: number;
}

/** What {@link sampleToken} may be given besides the logits that the model gave. */
export interface SampleOptions extends SamplingOptions {
  /** Logits to choose by in place of the model's own: those that processors have changed. */
  readonly chooseBy?: Float32Array | undefined;
  /** `log(sum(e^logit))` of the model's own logits, where it is at hand: it takes longer than all the rest of a greedy choice. */
  readonly logSumExp?: number | undefined;
}

/** @throws ConfigError `SAMPLING_INVALID` for a value outside its range */
export function checkSampling({ temperature = 0, topK, topP, minP }: SamplingOptions): void {
  const refuse = (message: string, fix: string) => {
    throw new ConfigError({ code: "SAMPLING_INVALID", message, fix });
  };
  if (!Number.isFinite(temperature) || temperature < 0) {
    refuse(
      `temperature is ${temperature}`,
      "give a number from 0 (greedy) up; 1 is the model's own distribution",
    );
  }
  if (topK !== undefined && (!Number.isInteger(topK) || topK < 1)) {
    refuse(`topK is ${topK}`, "give a positive integer, or leave it out");
  }
  if (topP !== undefined && !(topP > 0 && topP <= 1)) {
    refuse(`topP is ${topP}`, "give a number above 0 and at most 1, or leave it out");
  }
  if (minP !== undefined && !(minP >= 0 && minP <= 1)) {
    refuse(`minP is ${minP}`, "give a number from 0 (no limit) to 1, or leave it out");
  }
}

/**
 * Draws a token: temperature first, then `topK`, `topP` and `minP`, as transformers orders them. Of equal logits the lower token
 * comes first. Draws one uniform from `random` unless greedy.
 *
 * @param logits one position's, over the whole vocabulary, as the model gave them
 * @throws ConfigError `LOGITS_NOT_FINITE` if no token has a finite logit or one is NaN
 */
export function sampleToken(
  logits: Float32Array,
  options: SampleOptions,
  random: Random,
): SampledToken {
  const { temperature = 0, topK = logits.length, topP = 1, minP = 0 } = options;
  const own = mostLikely(logits);
  const scores = options.chooseBy ?? logits;
  const best = options.chooseBy === undefined ? own : mostLikely(options.chooseBy);
  const logSumExp = options.logSumExp ?? logSumExpOf(logits, own);
  const picked = (token: number): SampledToken => ({
    token,
    logProbability: (logits[token] ?? 0) - logSumExp,
  });
  if (temperature === 0) return picked(best);

  const top = scores[best] ?? 0;
  // Of the best token it is 1.
  const weight = (token: number) => Math.exp(((scores[token] ?? 0) - top) / temperature);
  let tokens = topK < scores.length ? largest(scores, topK) : Array.from(scores.keys());
  if (topP < 1) tokens = nucleus(tokens, scores, weight, topP);
  if (minP > 0) tokens = tokens.filter((token) => weight(token) >= minP);
  const mass = tokens.reduce((sum, token) => sum + weight(token), 0);
  let left = random.uniform() * mass;
  for (const token of tokens) {
    left -= weight(token);
    if (left < 0) return picked(token);
  }
  // Only rounding leads here.
  return picked(tokens.findLast((token) => weight(token) > 0) ?? best);
}

/**
 * The most probable tokens of the model's own distribution, with natural logarithms of their probabilities, in descending order.
 *
 * @param known the logits' `log(sum(e^logit))`, where it is at hand
 * @throws ConfigError `LOGITS_NOT_FINITE`, as {@link sampleToken} does
 */
export function mostProbable(logits: Float32Array, count: number, known?: number): SampledToken[] {
  const best = mostLikely(logits);
  const logSumExp = known ?? logSumExpOf(logits, best);
  return largest(logits, Math.min(count, logits.length)).map((token) => ({
    token,
    logProbability: (logits[token] ?? 0) - logSumExp,
  }));
}

/** The token of the largest logit. @throws ConfigError `LOGITS_NOT_FINITE` */
function mostLikely(logits: Float32Array): number {
  let best = 0;
  let top = Number.NEGATIVE_INFINITY;
  let nan = false;
  for (let token = 0; token < logits.length; token++) {
    const logit = logits[token] ?? 0;
    if (Number.isNaN(logit)) nan = true;
    if (logit > top) {
      top = logit;
      best = token;
    }
  }
  if (nan || !Number.isFinite(top)) {
    throw new ConfigError({
      code: "LOGITS_NOT_FINITE",
      message: nan
        ? "some logits of the next token are NaN"
        : `the largest logit of the next token is ${top}`,
      fix: "look at the edits of this run: one of them made the activations overflow",
    });
  }
  return best;
}

function logSumExpOf(logits: Float32Array, best: number): number {
  const top = logits[best] ?? 0;
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - top);
  return top + Math.log(sum);
}

/** The k largest, in descending order. */
function largest(logits: Float32Array, k: number): number[] {
  const threshold = logits.slice().sort()[logits.length - k] ?? Number.NEGATIVE_INFINITY;
  const tokens: number[] = [];
  for (const [token, logit] of logits.entries()) if (logit >= threshold) tokens.push(token);
  return descending(tokens, logits).slice(0, k);
}

/** The shortest run of the heaviest tokens that has at least `share` of the weight. */
function nucleus(
  tokens: readonly number[],
  logits: Float32Array,
  weight: (token: number) => number,
  share: number,
): number[] {
  const mass = tokens.reduce((sum, token) => sum + weight(token), 0);
  // Tokens lighter than this weigh less than 1 - share all together, so the rest reaches `share` without them.
  const negligible = ((1 - share) * mass) / tokens.length;
  const sorted = descending(
    tokens.filter((token) => weight(token) >= negligible),
    logits,
  );
  let reached = 0;
  const end = sorted.findIndex((token) => (reached += weight(token)) >= share * mass);
  return end < 0 ? sorted : sorted.slice(0, end + 1);
}

/** By logit, since distinct logits may round to equal weights; of equal ones the lower token first. */
function descending(tokens: readonly number[], logits: Float32Array): number[] {
  return tokens.toSorted((a, b) => (logits[b] ?? 0) - (logits[a] ?? 0) || a - b);
}
