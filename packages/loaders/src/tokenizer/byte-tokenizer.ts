import type { Tokenizer } from "./tokenizer.ts";
import { tokenizerFromJson } from "./tokenizer-from-json.ts";

/**
 * A tokenizer of 256 tokens, one for each byte of UTF-8: what a model without a tokenizer of its own can read any text with, for
 * example one of random weights.
 */
export function byteTokenizer(): Tokenizer {
  const vocab = Object.fromEntries(byteCharacters().map((character, byte) => [character, byte]));
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

/** The printable character that byte-level vocabularies write each byte as: itself, or one from U+0100 on. */
function byteCharacters(): string[] {
  const printable = (byte: number): boolean =>
    (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) =>
    String.fromCodePoint(printable(byte) ? byte : next++),
  );
}
