import type { Random } from "@latentkit/core";
import type { Tokenizer } from "@latentkit/loaders";
import { IncrementalText } from "./incremental-text.ts";
import type { LogitsProcessor } from "./logits-processors.ts";
import { mostProbable, type SampledToken, sampleToken, type SamplingOptions } from "./sampling.ts";
import { StopStrings } from "./stop-strings.ts";

/** One new token, as it comes. */
export interface GeneratedToken {
  /** Which of the prompts it goes on from, from 0. */
  readonly prompt: number;
  /** Which of its prompt's samples it belongs to, from 0. */
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
  /**
   * By site that `capture` named: the values `[.. axes after pos]` at the position that the token was predicted from, the last before
   * it. Scores and patterns are `[head, key]`, over the keys of its own text. Values of a prompt's last position are shared by its
   * samples: do not write into them.
   */
  readonly captured: ReadonlyMap<string, Float32Array>;
}

/** What the model gave at a text's last position. */
export interface LastPosition {
  /** `[vocabulary]`. */
  readonly logits: Float32Array;
  /** `log(sum(e^logit))`. */
  readonly logSumExp: number;
  readonly captured: ReadonlyMap<string, Float32Array>;
}

/** What all samples of a prompt have in common. */
export interface ContinuationOptions {
  readonly prompt: readonly number[];
  /** Which of the prompts it is. */
  readonly promptIndex: number;
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

  /** Which of the prompts it goes on from. */
  get prompt(): number {
    return this.#options.promptIndex;
  }

  get promptLength(): number {
    return this.#options.prompt.length;
  }

  /** Chooses the next token by what the model gave at the last position. */
  next({ logits, logSumExp, captured }: LastPosition): GeneratedToken {
    const { prompt, limit, stopTokens, sampling, alternatives } = this.#options;
    const index = this.#tokens.length - prompt.length;
    const chooseBy = this.#processed(logits);
    const { token, logProbability } = sampleToken(
      logits,
      { ...sampling, chooseBy, logSumExp },
      this.#random,
    );
    this.#tokens.push(token);
    const ended = stopTokens.has(token) ? "stop" : index + 1 === limit ? "length" : null;
    const { text, stop } = this.#piece(token, ended !== null);
    return {
      prompt: this.prompt,
      sample: this.sample,
      index,
      token,
      text,
      logProbability,
      alternatives: alternatives === 0 ? [] : mostProbable(logits, alternatives, logSumExp),
      finish: stop === null ? ended : "stop",
      stopString: stop,
      captured,
    };
  }

  #processed(logits: Float32Array): Float32Array | undefined {
    const { processors, prompt } = this.#options;
    if (processors.length === 0) return undefined;
    const copy = logits.slice();
    const context = {
      tokens: this.#tokens,
      promptLength: prompt.length,
      prompt: this.prompt,
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
