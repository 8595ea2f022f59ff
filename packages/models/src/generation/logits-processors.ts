import { ConfigError } from "@latentkit/core";

/** What a processor knows about the text that it is asked about. */
export interface LogitsContext {
  /** The prompt and all that was generated after it. */
  readonly tokens: readonly number[];
  /** How many of them are the prompt. */
  readonly promptLength: number;
  /** Which of the prompts it goes on from, from 0. */
  readonly prompt: number;
  /** Which of its prompt's samples it is, from 0. */
  readonly sample: number;
}

/**
 * Changes the logits of the next token, over the whole vocabulary, in place; -Infinity forbids a token. It is given a copy: what is
 * reported as a token's probability stays the model's own.
 */
export type LogitsProcessor = (logits: Float32Array, context: LogitsContext) => void;

/**
 * Makes tokens that the text has already, the prompt's included, less probable: positive logits are divided by the penalty and
 * negative ones multiplied (1909.05858, section 4.1), as transformers does.
 *
 * @param penalty above 0; 1 changes nothing
 * @throws ConfigError `SAMPLING_INVALID`
 */
export function repetitionPenalty(penalty: number): LogitsProcessor {
  if (!(Number.isFinite(penalty) && penalty > 0)) {
    throw new ConfigError({
      code: "SAMPLING_INVALID",
      message: `the repetition penalty is ${penalty}`,
      fix: "give a number above 0; 1 changes nothing, 1.1 to 1.3 are usual",
    });
  }
  return (logits, { tokens }) => {
    for (const token of new Set(tokens)) {
      const logit = logits[token] ?? 0;
      logits[token] = logit > 0 ? logit / penalty : logit * penalty;
    }
  };
}

/**
 * Adds a number to the logits of some tokens: -Infinity forbids one.
 *
 * @param biases by token
 */
export function logitBias(biases: ReadonlyMap<number, number>): LogitsProcessor {
  return (logits) => {
    for (const [token, bias] of biases)
      if (token < logits.length) logits[token] = (logits[token] ?? 0) + bias;
  };
}

/**
 * OpenAI's penalties: subtracts `presence` from the logit of each token that was generated before, and `frequency` for each time.
 * The prompt does not count.
 */
export function countPenalties({
  presence = 0,
  frequency = 0,
}: {
  readonly presence?: number;
  readonly frequency?: number;
}): LogitsProcessor {
  return (logits, { tokens, promptLength }) => {
    const counts = new Map<number, number>();
    for (const token of tokens.slice(promptLength)) counts.set(token, (counts.get(token) ?? 0) + 1);
    for (const [token, count] of counts)
      logits[token] = (logits[token] ?? 0) - presence - frequency * count;
  };
}
