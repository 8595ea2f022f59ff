import type { Random } from "@latentkit/core";
import type { Tokenizer } from "@latentkit/loaders";
import { IncrementalText } from "./incremental-text.ts";
import type { LogitsProcessor } from "./logits-processors.ts";
import { mostProbable, type SampledToken, sampleToken, type SamplingOptions } from "./sampling.ts";
import { StopStrings } from "./stop-strings.ts";

/** One new token, as it comes. */
export interface GeneratedToken {
  /** Which of the samples it belongs to, from 0. */
  readonly sample: number;
  /** 0 for the first new one. */
  readonly index: number;
  readonly token: number;
  /**
   * Text that became certain with this token, never ending inside a character; all pieces of a sample together are its text, without
   * the stop string that ended it. Empty for special tokens, and without a tokenizer.
   */
  readonly text: string;
  /** Natural logarithm of the probability that the model gave it (temperature 1, no processors, no cut-offs). */
  readonly logProbability: number;
  /** The most probable tokens at its place, as many as were asked for, in descending order. */
  readonly alternatives: readonly SampledToken[];
  /** Null but for a sample's last: `"stop"` for a stop token or string, `"length"` at `maxTokens` or the end of the context. */
  readonly finish: "stop" | "length" | null;
  /** The stop string that ended the text; null for all other ends. */
  readonly stopString: string | null;
}

/** What all samples of a call have in common. */
export interface ContinuationOptions {
  readonly prompt: readonly number[];
  /** New tokens at most. */
  readonly limit: number;
  readonly stopTokens: ReadonlySet<number>;
  readonly stopStrings: readonly string[];
  readonly sampling: SamplingOptions;
  readonly processors: readonly LogitsProcessor[];
  /** Alternatives to report with each token. */
  readonly alternatives: number;
  readonly tokenizer: Tokenizer | null;
}

/** One way to go on from a prompt: its tokens, its text, its random numbers. */
export class Continuation {
  readonly sample: number;
  readonly #options: ContinuationOptions;
  readonly #random: Random;
  readonly #tokens: number[];
  readonly #text: IncrementalText | null;
  readonly #stops: StopStrings;

  constructor(sample: number, random: Random, options: ContinuationOptions) {
    this.sample = sample;
    this.#random = random;
    this.#options = options;
    this.#tokens = [...options.prompt];
    this.#text = options.tokenizer === null ? null : new IncrementalText(options.tokenizer);
    this.#stops = new StopStrings(options.stopStrings);
  }

  /** Chooses the next token by the logits `[vocabulary]` of the last position. */
  next(logits: Float32Array): GeneratedToken {
    const { prompt, limit, stopTokens, sampling, alternatives } = this.#options;
    const index = this.#tokens.length - prompt.length;
    const chooseBy = this.#processed(logits);
    const { token, logProbability } = sampleToken(logits, { ...sampling, chooseBy }, this.#random);
    this.#tokens.push(token);
    const ended = stopTokens.has(token) ? "stop" : index + 1 === limit ? "length" : null;
    const { text, stop } = this.#piece(token, ended !== null);
    return {
      sample: this.sample,
      index,
      token,
      text,
      logProbability,
      alternatives: alternatives === 0 ? [] : mostProbable(logits, alternatives),
      finish: stop === null ? ended : "stop",
      stopString: stop,
    };
  }

  #processed(logits: Float32Array): Float32Array | undefined {
    const { processors, prompt } = this.#options;
    if (processors.length === 0) return undefined;
    const copy = logits.slice();
    const context = {
      tokens: this.#tokens,
      promptLength: prompt.length,
      sample: this.sample,
    };
    for (const process of processors) process(copy, context);
    return copy;
  }

  #piece(token: number, last: boolean): { readonly text: string; readonly stop: string | null } {
    if (this.#text === null) return { text: "", stop: null };
    const piece = this.#text.push(token) + (last ? this.#text.flush() : "");
    const { text, stop } = this.#stops.push(piece);
    return { text: last && stop === null ? text + this.#stops.flush() : text, stop };
  }
}
