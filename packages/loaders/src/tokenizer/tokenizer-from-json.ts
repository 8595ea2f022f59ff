import { buildTokenizer } from "./build-tokenizer.ts";
import { parseDefinition, parseSettings } from "./definition.ts";
import type { Tokenizer } from "./tokenizer.ts";

/**
 * A tokenizer from the objects of `tokenizer.json` and, for special tokens and the chat template, `tokenizer_config.json`.
 *
 * Throws `FormatError` `TOKENIZER_JSON` or `TOKENIZER_CONFIG` where they are not as expected, and `TOKENIZER_UNSUPPORTED` where
 * they ask for a step that is not there.
 */
export function tokenizerFromJson(tokenizerJson: unknown, tokenizerConfig?: unknown): Tokenizer {
  return buildTokenizer(parseDefinition(tokenizerJson), parseSettings(tokenizerConfig));
}
