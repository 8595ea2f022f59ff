import type { Tokenizer } from "@latentkit/loaders";
import { fnv1a } from "../split.ts";

/** A tokenizer whose tokens are words with the white space before them: small, deterministic, and it covers every character. */
export function wordTokenizer(special: { bos?: number | null; pad?: number | null } = {}): Tokenizer {
  const { bos = null, pad = 0 } = special;
  return {
    vocabularySize: 512,
    specialTokens: { bos, eos: 1, pad, all: new Map() },
    chatTemplate: "{% for m in messages %}<{{ m.role }}> {{ m.content }}\n{% endfor %}",
    identity: `words-${bos}-${pad}`,
    encode(text) {
      const pieces = [...text.matchAll(/\s*\S+|\s+/gu)];
      return {
        ids: Int32Array.from(pieces, ([piece]) => wordId(piece)),
        starts: Int32Array.from(pieces, (piece) => piece.index),
        ends: Int32Array.from(pieces, (piece) => piece.index + piece[0].length),
      };
    },
    decode: (ids) => Array.from(ids, String).join(" "),
    tokenText: String,
    tokenId: () => null,
  };
}

/** The word at which the fake model has an attention sink; no other word has its id. */
export const sinkWord = "SINK";

/** Ids from 8 on: those below are special. */
export function wordId(piece: string): number {
  const word = piece.trim();
  return word === sinkWord ? 511 : 8 + (fnv1a(word) % 500);
}
