import { makeBpeEncoder } from "./bpe-model.ts";
import { unsupportedError } from "./definition.ts";
import type { TokenizerDefinition, TokenizerSettings } from "./definition.ts";
import { makeLibraryTokenizer } from "./library.ts";

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
 * @param vocabulary ids by token, added tokens included.
 */
export function makePieceEncoder(
  definition: TokenizerDefinition,
  settings: TokenizerSettings,
  vocabulary: ReadonlyMap<string, number>,
  byteLevel: boolean,
): EncodePiece {
  const bpe = definition.model.type === "BPE";
  if (byteLevel && !bpe)
    throw unsupportedError(
      `the tokenizer is a ${definition.model.type} on bytes, which is not supported`,
    );
  const encode = bpe
    ? makeBpeEncoder(definition.model, vocabulary, byteLevel)
    : makeWordEncoder(definition, settings, vocabulary);
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

/** A copy that does not keep the document alive, of which `piece` is a slice in V8. */
export function detached(piece: string): string {
  return piece.length < 13 ? piece : Array.from(piece).join("");
}

/** WordPiece and Unigram: the library names the tokens, and their texts are found again in the piece. */
function makeWordEncoder(
  definition: TokenizerDefinition,
  settings: TokenizerSettings,
  vocabulary: ReadonlyMap<string, number>,
): EncodePiece {
  const { model } = makeLibraryTokenizer(
    { ...definition, pre_tokenizer: null },
    { unk_token: settings.unknown ?? undefined },
  );
  const given = definition.model.continuing_subword_prefix;
  const prefix = definition.model.type === "WordPiece" && typeof given === "string" ? given : "";
  return (piece) => {
    const tokens = model._call([piece]);
    const ids = tokens.map((token) => vocabulary.get(token) ?? model.unk_token_id ?? 0);
    const starts: number[] = [];
    const ends: number[] = [];
    let at = 0;
    for (const [index, token] of tokens.entries()) {
      const text = index > 0 && token.startsWith(prefix) ? token.slice(prefix.length) : token;
      // An unknown word is one token with another text: then all that is known is the piece.
      if (!piece.startsWith(text, at))
        return { ids, starts: ids.map(() => 0), ends: ids.map(() => piece.length) };
      starts.push(at);
      at += text.length;
      ends.push(at);
    }
    return { ids, starts, ends };
  };
}
