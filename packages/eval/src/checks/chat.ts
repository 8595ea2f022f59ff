import { ConfigError } from "@latentkit/core";
import type { LanguageModel } from "@latentkit/models";
import { specialTokens, turnEnd } from "@latentkit/worlds";
import { encodePrompt, tokenizerOf } from "../prompt.ts";
import { replies, type ReplyOptions } from "../reading/replies.ts";
import type { CheckResult } from "../result.ts";
import { wilson } from "../statistics/wilson.ts";

/** A reply as text. */
export interface ChatReply {
  /** Without the mark that ends the turn. */
  readonly text: string;
  /** Whether the turn was ended by its mark. */
  readonly ended: boolean;
  /** Whether other control tokens stand in it. */
  readonly stray: boolean;
}

/** Options of {@link chatReplies}. */
export type ChatReplyOptions = Partial<Omit<ReplyOptions, "stopTokens">>;

/**
 * The model's replies to conversations, greedy unless a temperature is given.
 *
 * @param prompts texts with the marks of turns, up to where the assistant speaks; `openReply` makes them of turns
 * @throws ConfigError `TOKENIZER_MISSING`, `CHAT_MARKS_MISSING` for a tokenizer without the worlds' marks of turns
 */
export async function chatReplies(
  model: LanguageModel,
  prompts: readonly string[],
  { maxTokens = 48, ...options }: ChatReplyOptions = {},
): Promise<ChatReply[]> {
  const { marks, end } = chatMarks(model);
  const tokenizer = tokenizerOf(model);
  const made = await replies(
    model,
    prompts.map((prompt) => encodePrompt(model, prompt)),
    // Any mark ends a reply: what follows a stray one is no part of it.
    { maxTokens, stopTokens: marks, ...options },
  );
  return made.map(({ tokens }) => {
    const last = tokens.at(-1);
    const content = tokens.filter((token) => !marks.includes(token));
    return {
      text: tokenizer.decode(content),
      ended: last === end,
      stray: tokens.some((token) => token !== end && marks.includes(token)),
    };
  });
}

/**
 * The tokens of the worlds' marks, and the one that ends turns.
 *
 * @throws ConfigError `TOKENIZER_MISSING`, `CHAT_MARKS_MISSING`
 */
export function chatMarks(model: LanguageModel): {
  readonly marks: readonly number[];
  readonly end: number;
} {
  const tokenizer = tokenizerOf(model);
  const end = tokenizer.tokenId(turnEnd);
  if (end !== null)
    return { end, marks: specialTokens.flatMap((mark) => tokenizer.tokenId(mark) ?? []) };
  throw new ConfigError({
    code: "CHAT_MARKS_MISSING",
    message: `the tokenizer of ${model.name} has no token "${turnEnd}"`,
    fix: "use a model whose tokenizer was trained on the worlds' texts",
    where: model.name,
  });
}

/**
 * Share of replies that keep to the format (`chat/format`): ended by the mark that ends turns, not empty, and without other marks.
 */
export function chatFormat(
  given: readonly ChatReply[],
  { seed, name = "chat/format" }: { readonly seed: number; readonly name?: string },
): CheckResult {
  const right = given.filter(({ text, ended, stray }) => ended && !stray && text.trim() !== "");
  return shareOf(name, right.length, given.length, seed);
}

/** A share with Wilson's interval. Throws `ConfigError` `STATISTIC_INPUT` for no trials. */
export function shareOf(
  name: string,
  count: number,
  trials: number,
  seed: number,
  baseline?: number,
): CheckResult {
  return {
    name,
    n: trials,
    value: count / trials,
    interval: wilson(count, trials),
    ...(baseline === undefined ? {} : { baseline }),
    unit: "share",
    seed,
  };
}
