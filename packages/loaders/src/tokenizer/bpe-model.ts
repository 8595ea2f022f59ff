import { byteTokens } from "./byte-tokens.ts";
import { spellBytes } from "./byte-level.ts";
import { definitionError, unsupportedError } from "./definition.ts";
import type { TokenizerDefinition } from "./definition.ts";
import { type Merge, PairMerger } from "./pair-merger.ts";
import type { EncodePiece } from "./piece-encoder.ts";

/** What a piece looks like to the model, and the piece's characters (UTF-16) that each UTF-16 unit of it covers. */
interface Symbols {
  readonly text: string;
  readonly starts: ArrayLike<number>;
  readonly ends: ArrayLike<number>;
}

/**
 * The encoder of a byte-pair model. Written here and not taken from the library, whose merging is some ten times slower and keeps
 * bytes that are not in the vocabulary as walls between their neighbours.
 *
 * @param vocabulary ids by token, without tokens that were added beside the model.
 */
export function makeBpeEncoder(
  model: TokenizerDefinition["model"],
  vocabulary: ReadonlyMap<string, number>,
  byteLevel: boolean,
): EncodePiece {
  for (const key of ["continuing_subword_prefix", "end_of_word_suffix"]) {
    if ((model[key] ?? "") !== "")
      throw unsupportedError(`the tokenizer is a BPE with a ${key}, which is not supported`);
  }
  const merger = new PairMerger(parseMerges(model.merges, vocabulary));
  const unknown = typeof model.unk_token === "string" ? vocabulary.get(model.unk_token) : undefined;
  const byteFallback = model.byte_fallback === true;
  const fuseUnknown = model.fuse_unk === true;
  const ignoreMerges = model.ignore_merges === true;
  const spell = byteLevel ? spelledSymbols : plainSymbols;
  return (piece) => {
    const spelled = spell(piece);
    // Characters that are not in the vocabulary vanish before merging, as in the reference: their neighbours may then merge.
    const symbols =
      unknown === undefined && !byteFallback ? dropMissing(spelled, vocabulary) : spelled;
    const { text } = symbols;
    const ids: number[] = [];
    const starts: number[] = [];
    const ends: number[] = [];
    const push = (id: number, from: number, to: number): void => {
      ids.push(id);
      starts.push(symbols.starts[from] ?? 0);
      ends.push(symbols.ends[to - 1] ?? 0);
    };
    let from = 0;
    for (const to of ignoreMerges && vocabulary.has(text) ? [text.length] : merger.merge(text)) {
      const symbol = text.slice(from, to);
      const id = vocabulary.get(symbol);
      const bytes = id === undefined && byteFallback ? byteTokens(symbol, vocabulary) : null;
      if (id !== undefined) push(id, from, to);
      else if (bytes !== null) for (const byte of bytes) push(byte, from, to);
      else if (unknown !== undefined && fuseUnknown && ids.at(-1) === unknown)
        ends[ends.length - 1] = symbols.ends[to - 1] ?? 0;
      else if (unknown !== undefined) push(unknown, from, to);
      from = to;
    }
    return { ids, starts, ends };
  };
}

/** Merges are pairs, in older files with a space between. */
function parseMerges(merges: unknown, vocabulary: ReadonlyMap<string, number>): readonly Merge[] {
  if (!Array.isArray(merges)) throw definitionError("model.merges is missing");
  return merges.map((merge: unknown, rank) => {
    const [left, right, ...rest]: readonly unknown[] =
      typeof merge === "string" ? merge.split(" ") : Array.isArray(merge) ? merge : [];
    if (typeof left !== "string" || typeof right !== "string" || rest.length > 0)
      throw definitionError(`merge ${rank} is not a pair of tokens`);
    const merged = left + right;
    if (!vocabulary.has(merged))
      throw definitionError(
        `merge ${rank} makes ${JSON.stringify(merged)}, which is not in the vocabulary`,
      );
    return [left, right, merged];
  });
}

function spelledSymbols(piece: string): Symbols {
  const { spelled, starts, ends } = spellBytes(piece);
  return { text: spelled, starts, ends };
}

function plainSymbols(piece: string): Symbols {
  const starts = new Int32Array(piece.length);
  const ends = new Int32Array(piece.length);
  let index = 0;
  for (const character of piece) {
    starts.fill(index, index, index + character.length);
    ends.fill(index + character.length, index, index + character.length);
    index += character.length;
  }
  return { text: piece, starts, ends };
}

function dropMissing(symbols: Symbols, vocabulary: ReadonlyMap<string, number>): Symbols {
  const kept: string[] = [];
  const starts: number[] = [];
  const ends: number[] = [];
  let index = 0;
  let complete = true;
  for (const character of symbols.text) {
    if (vocabulary.has(character)) {
      kept.push(character);
      for (let i = index; i < index + character.length; i++) {
        starts.push(symbols.starts[i] ?? 0);
        ends.push(symbols.ends[i] ?? 0);
      }
    } else complete = false;
    index += character.length;
  }
  return complete ? symbols : { text: kept.join(""), starts, ends };
}
