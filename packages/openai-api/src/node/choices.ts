import type { Tokenizer } from "@latentkit/loaders";
import type { GeneratedToken } from "@latentkit/models";

/** One token with its probability, as chat answers have it. */
export interface ChatLogprob {
  readonly token: string;
  readonly logprob: number;
  /** UTF-8 of the token; null where it is part of a character. */
  readonly bytes: readonly number[] | null;
}

/** {@link ChatLogprob} and the most probable tokens at its place. */
export interface ChatLogprobs extends ChatLogprob {
  readonly top_logprobs: readonly ChatLogprob[];
}

/** Probabilities of a generated token in the form of chat answers. */
export function chatLogprobs(tokenizer: Tokenizer, generated: GeneratedToken): ChatLogprobs {
  const one = ({ token, logProbability }: Pick<GeneratedToken, "token" | "logProbability">) => {
    const text = tokenizer.tokenText(token);
    const bytes = text.includes("\uFFFD") ? null : [...new TextEncoder().encode(text)];
    return { token: text, logprob: logProbability, bytes };
  };
  return { ...one(generated), top_logprobs: generated.alternatives.map(one) };
}

/** Probabilities of several tokens in the form of text completions. */
export interface CompletionLogprobs {
  readonly tokens: readonly string[];
  readonly token_logprobs: readonly number[];
  readonly top_logprobs: readonly Readonly<Record<string, number>>[];
  readonly text_offset: readonly number[];
}

/**
 * Probabilities of generated tokens in the form of text completions.
 *
 * @param offset UTF-16 code units of the answer before the first of them
 */
export function completionLogprobs(
  tokenizer: Tokenizer,
  generated: readonly GeneratedToken[],
  offset: number,
): CompletionLogprobs {
  let at = offset;
  const offsets = generated.map(({ text }) => {
    const start = at;
    at += text.length;
    return start;
  });
  return {
    tokens: generated.map(({ token }) => tokenizer.tokenText(token)),
    token_logprobs: generated.map(({ logProbability }) => logProbability),
    top_logprobs: generated.map(({ alternatives }) =>
      Object.fromEntries(
        alternatives.map(({ token, logProbability }) => [
          tokenizer.tokenText(token),
          logProbability,
        ]),
      ),
    ),
    text_offset: offsets,
  };
}
