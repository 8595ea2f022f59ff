import { byteToCharacter } from "./byte-level.ts";
import type { Tokenizer } from "./tokenizer.ts";
import { tokenizerFromJson } from "./tokenizer-from-json.ts";

/**
 * A tokenizer of 256 tokens, one for each byte of UTF-8: what a model without a tokenizer of its own can read any text with, for
 * example one of random weights.
 */
export function byteTokenizer(): Tokenizer {
  const vocab = Object.fromEntries(byteToCharacter.map((character, byte) => [character, byte]));
  const byteLevel = {
    type: "ByteLevel",
    add_prefix_space: false,
    trim_offsets: false,
    use_regex: false,
  };
  return tokenizerFromJson({
    version: "1.0",
    added_tokens: [],
    normalizer: null,
    pre_tokenizer: byteLevel,
    post_processor: null,
    decoder: byteLevel,
    model: { type: "BPE", vocab, merges: [] },
  });
}
