import { makeBpeEncoder } from "./bpe-model.ts";
import { unsupportedError } from "./definition.ts";
import type { TokenizerDefinition } from "./definition.ts";
import { makeUnigramEncoder } from "./unigram-model.ts";
import { makeWordLevelEncoder } from "./word-level-model.ts";
import { makeWordPieceEncoder } from "./word-piece-model.ts";

/** The tokens of one piece, with the piece's characters (UTF-16) that each covers. */
export interface PieceTokens {
  readonly ids: readonly number[];
  readonly starts: readonly number[];
  readonly ends: readonly number[];
}

/** Encodes pieces of text, as the pre-tokenizer cut them. */
export type EncodePiece = (piece: string) => PieceTokens;

const cacheLimit = 400_000;
const longestCached = 128;

/**
 * The encoder of a definition's model, which remembers pieces: natural text repeats its words, and a look-up is many times
 * cheaper than merging. The memory is bounded; when it is full it is dropped, which only costs time.
 *
 * @param vocabulary ids by token, without tokens that were added beside the model.
 */
export function makePieceEncoder(
  model: TokenizerDefinition["model"],
  vocabulary: ReadonlyMap<string, number>,
  byteLevel: boolean,
): EncodePiece {
  const encode = makeEncoder(model, vocabulary, byteLevel);
  const cache = new Map<string, PieceTokens>();
  return (piece) => {
    const known = cache.get(piece);
    if (known !== undefined) return known;
    const tokens = encode(piece);
    if (piece.length <= longestCached) {
      if (cache.size >= cacheLimit) cache.clear();
      cache.set(detached(piece), tokens);
    }
    return tokens;
  };
}

function makeEncoder(
  model: TokenizerDefinition["model"],
  vocabulary: ReadonlyMap<string, number>,
  byteLevel: boolean,
): EncodePiece {
  if (model.type === "BPE") return makeBpeEncoder(model, vocabulary, byteLevel);
  if (byteLevel)
    throw unsupportedError(`the tokenizer is a ${model.type} on bytes, which is not supported`);
  if (model.type === "Unigram") return makeUnigramEncoder(model);
  if (model.type === "WordLevel") return makeWordLevelEncoder(model, vocabulary);
  return makeWordPieceEncoder(model, vocabulary);
}

/** A copy that does not keep the document alive, of which `piece` is a slice in V8. */
export function detached(piece: string): string {
  return piece.length < 13 ? piece : Array.from(piece).join("");
}
