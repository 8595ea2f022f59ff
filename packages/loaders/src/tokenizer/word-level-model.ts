import type { TokenizerDefinition } from "./definition.ts";
import type { EncodePiece } from "./piece-encoder.ts";
import { unknownId } from "./word-piece-model.ts";

/**
 * The encoder of a WordLevel model: a piece is a token of the vocabulary, or unknown.
 *
 * @param vocabulary ids by token.
 */
export function makeWordLevelEncoder(
  model: TokenizerDefinition["model"],
  vocabulary: ReadonlyMap<string, number>,
): EncodePiece {
  const unknown = unknownId(model, vocabulary);
  return (piece) => ({
    ids: [vocabulary.get(piece) ?? unknown],
    starts: [0],
    ends: [piece.length],
  });
}
