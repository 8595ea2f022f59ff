import { ConfigError } from "@latentkit/core";
import type { Tokenizer } from "@latentkit/loaders";
import type { LanguageModel } from "@latentkit/models";
import { openTurn, renderTurns, textStart, type Turn } from "@latentkit/worlds";

/** The model's tokenizer. Throws `ConfigError` `TOKENIZER_MISSING`. */
export function tokenizerOf(model: LanguageModel): Tokenizer {
  if (model.tokenizer !== null) return model.tokenizer;
  throw new ConfigError({
    code: "TOKENIZER_MISSING",
    message: `the model ${model.name} has no tokenizer, so questions cannot be turned into tokens`,
    fix: "put tokenizer.json beside the weights",
    where: model.name,
  });
}

/** Token ids of the beginning of a text, after the mark that begins texts where the tokenizer has one. */
export function encodePrompt(model: LanguageModel, text: string): Int32Array {
  const tokenizer = tokenizerOf(model);
  const { ids } = tokenizer.encode(text);
  const start = tokenizer.tokenId(textStart);
  return start === null ? ids : Int32Array.of(start, ...ids);
}

/** A conversation as text, up to where the assistant speaks. */
export function openReply(turns: readonly Turn[]): string {
  return renderTurns(turns) + openTurn("assistant");
}
