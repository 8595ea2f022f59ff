import { definitionError } from "./definition.ts";
import type { TokenizerDefinition } from "./definition.ts";
import type { EncodePiece } from "./piece-encoder.ts";

/**
 * The encoder of a WordPiece model: from the left, the longest token each time, those inside of a word with a prefix (`##`). A word
 * that is too long, or that cannot be spelled, is one unknown token.
 *
 * @param vocabulary ids by token.
 */
export function makeWordPieceEncoder(
  model: TokenizerDefinition["model"],
  vocabulary: ReadonlyMap<string, number>,
): EncodePiece {
  const unknown = unknownId(model, vocabulary);
  const prefix =
    typeof model.continuing_subword_prefix === "string" ? model.continuing_subword_prefix : "##";
  const longest =
    typeof model.max_input_chars_per_word === "number" ? model.max_input_chars_per_word : 100;
  return (piece) => {
    const whole = { ids: [unknown], starts: [0], ends: [piece.length] };
    const characters = Array.from(piece);
    if (characters.length > longest) return whole;
    const ids: number[] = [];
    const starts: number[] = [];
    const ends: number[] = [];
    let start = 0;
    for (let from = 0; from < characters.length;) {
      let to = characters.length;
      let text = piece.slice(start);
      let id = vocabulary.get(from > 0 ? prefix + text : text);
      while (id === undefined) {
        to--;
        text = text.slice(0, text.length - (characters[to]?.length ?? 1));
        if (to === from) return whole;
        id = vocabulary.get(from > 0 ? prefix + text : text);
      }
      ids.push(id);
      starts.push(start);
      start += text.length;
      ends.push(start);
      from = to;
    }
    return { ids, starts, ends };
  };
}

/** The id of a model's `unk_token`; throws `TOKENIZER_JSON` where there is none. */
export function unknownId(
  model: TokenizerDefinition["model"],
  vocabulary: ReadonlyMap<string, number>,
): number {
  const token = model.unk_token;
  const id = typeof token === "string" ? vocabulary.get(token) : undefined;
  if (id !== undefined) return id;
  throw definitionError(
    `the ${model.type} model's unk_token is ${JSON.stringify(token)}, which is not in its vocabulary`,
  );
}
