import { makePreTokenizer } from "../pre-tokenize.ts";
import { learnMerges } from "./learn-merges.ts";
import { parseTrainingOptions } from "./options.ts";
import type { TrainByteLevelBpeOptions } from "./options.ts";
import { countPieces } from "./piece-counts.ts";
import { makeTokenizerConfig, makeTokenizerJson, preTokenizerJson } from "./tokenizer-files.ts";
import type { TrainedTokenizerConfig, TrainedTokenizerJson } from "./tokenizer-files.ts";

/** A trained tokenizer as the two files that Hugging Face's libraries read, and what it was trained on. */
export interface TrainedTokenizer {
  /** For `tokenizer.json`; `tokenizerFromJson` reads it too. */
  readonly tokenizerJson: TrainedTokenizerJson;
  /** For `tokenizer_config.json`. */
  readonly tokenizerConfig: TrainedTokenizerConfig;
  readonly summary: {
    /** Tokens in all; below what was asked for where the texts had no more pairs to merge. */
    readonly vocabularySize: number;
    readonly merges: number;
    readonly texts: number;
    /** Length of the texts in UTF-16 code units. */
    readonly characters: number;
    /** Different pieces that the texts were cut into. */
    readonly pieces: number;
    /** Tokens of the texts under the new tokenizer. */
    readonly tokens: number;
  };
}

/**
 * Trains a byte-level BPE tokenizer: digits are cut off one by one, words are cut as GPT-2 cuts them, and the pair of neighbours
 * that is most frequent within words becomes a token until the vocabulary is full. Special tokens come first, then the 256 bytes,
 * then what was learned. Vocabulary and merges are those of Hugging Face's `BpeTrainer` with these settings.
 *
 * As there, special tokens that are written out in the texts are taken for plain text: leave them out.
 *
 * Throws `ConfigError`: `TOKENIZER_TRAINING_OPTIONS`, `TOKENIZER_VOCABULARY_SMALL` (below the special tokens and 256),
 * `TOKENIZER_TRAINING_EMPTY` (nothing to learn from); `AbortedError` once the signal fires.
 *
 * @param texts documents; read once, and never held all at a time.
 */
export async function trainByteLevelBpe(
  texts: Iterable<string> | AsyncIterable<string>,
  options: TrainByteLevelBpeOptions,
): Promise<TrainedTokenizer> {
  const settings = parseTrainingOptions(options);
  const { preTokenize } = makePreTokenizer({ ...preTokenizerJson });
  const { counts, characters, texts: number } = await countPieces(texts, preTokenize, options);
  const learned = await learnMerges(counts, settings, options);
  return {
    tokenizerJson: makeTokenizerJson(settings, learned),
    tokenizerConfig: makeTokenizerConfig(settings),
    summary: {
      vocabularySize: learned.tokens.length,
      merges: learned.merges.length,
      texts: number,
      characters,
      pieces: counts.size,
      tokens: learned.totalTokens,
    },
  };
}
