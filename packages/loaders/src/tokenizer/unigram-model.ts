import { byteTokens } from "./byte-tokens.ts";
import { definitionError } from "./definition.ts";
import type { TokenizerDefinition } from "./definition.ts";
import type { EncodePiece } from "./piece-encoder.ts";

/** How much worse an unknown character is than the worst token, in log probability. */
const unknownPenalty = 10;

/**
 * The encoder of a Unigram model: of all ways to cut a piece into tokens, the one whose scores (log probabilities) sum highest,
 * found by Viterbi's algorithm. A character without a token of its own may be unknown; unknown neighbours are one stretch, which
 * becomes the token of its text, its bytes, or the unknown token.
 */
export function makeUnigramEncoder(model: TokenizerDefinition["model"]): EncodePiece {
  const entries = readEntries(model.vocab);
  const idOf = new Map(entries.map(([token], id) => [token, id]));
  const trie = buildTrie(idOf);
  const unknown = readUnknown(model.unk_id, entries.length);
  const unknownScore =
    entries.reduce((lowest, [, score]) => Math.min(lowest, score), Infinity) - unknownPenalty;
  const byteFallback = model.byte_fallback === true;

  return (piece) => {
    const ids: number[] = [];
    const starts: number[] = [];
    const ends: number[] = [];
    const push = (id: number, from: number, to: number): void => {
      ids.push(id);
      starts.push(from);
      ends.push(to);
    };
    for (const [from, to] of bestCuts(piece, { trie, entries, unknown, unknownScore })) {
      const text = piece.slice(from, to);
      const id = idOf.get(text);
      const bytes = id === undefined && byteFallback ? byteTokens(text, idOf) : null;
      if (bytes === null) push(id ?? needed(unknown, text), from, to);
      else for (const byte of bytes) push(byte, from, to);
    }
    return { ids, starts, ends };
  };
}

interface Search {
  readonly trie: Trie;
  readonly entries: readonly (readonly [string, number])[];
  readonly unknown: number | null;
  readonly unknownScore: number;
}

/** From where to where each stretch of the best cut goes, in UTF-16 units. */
function bestCuts(
  piece: string,
  { trie, entries, unknown, unknownScore }: Search,
): [number, number][] {
  const { length } = piece;
  const score = new Float64Array(length + 1);
  const startOf = new Int32Array(length + 1).fill(-1);
  const idOf = new Int32Array(length + 1);
  const offer = (from: number, to: number, id: number, gain: number): void => {
    const sum = gain + (score[from] ?? 0);
    // The first of equals stays.
    if (startOf[to] !== -1 && sum <= (score[to] ?? 0)) return;
    score[to] = sum;
    startOf[to] = from;
    idOf[to] = id;
  };
  for (let from = 0; from < length;) {
    const width = (piece.codePointAt(from) ?? 0) > 0xffff ? 2 : 1;
    let single = false;
    let node: number | undefined = 0;
    for (let to = from + 1; to <= length; to++) {
      node = trie.children.get(node * 0x1_0000 + piece.charCodeAt(to - 1));
      if (node === undefined) break;
      const id = trie.idOf[node] ?? -1;
      if (id < 0) continue;
      offer(from, to, id, entries[id]?.[1] ?? 0);
      single ||= to - from === width;
    }
    if (!single)
      offer(from, from + width, needed(unknown, piece.slice(from, from + width)), unknownScore);
    from += width;
  }
  const cuts: [number, number][] = [];
  let unknownAfter = false;
  for (let to = length; to > 0;) {
    const from = startOf[to] ?? 0;
    const isUnknown = idOf[to] === unknown;
    const last = cuts.at(-1);
    if (isUnknown && unknownAfter && last !== undefined) last[0] = from;
    else cuts.push([from, to]);
    unknownAfter = isUnknown;
    to = from;
  }
  return cuts.toReversed();
}

function needed(unknown: number | null, text: string): number {
  if (unknown !== null) return unknown;
  throw definitionError(
    `the Unigram model has no unk_id, and no tokens for ${JSON.stringify(text)}`,
  );
}

function readEntries(vocabulary: unknown): readonly (readonly [string, number])[] {
  if (!Array.isArray(vocabulary)) throw definitionError("model.vocab of a Unigram is no list");
  return vocabulary.map((entry: unknown, id) => {
    const [token, score]: readonly unknown[] = Array.isArray(entry) ? entry : [];
    if (typeof token === "string" && typeof score === "number" && !Number.isNaN(score))
      return [token, score] as const;
    throw definitionError(`entry ${id} of the vocabulary is not a pair of token and score`);
  });
}

function readUnknown(given: unknown, size: number): number | null {
  if (given === undefined || given === null) return null;
  if (typeof given === "number" && Number.isInteger(given) && given >= 0 && given < size)
    return given;
  throw definitionError(`unk_id is ${JSON.stringify(given)}, but there are ${size} tokens`);
}

/** A trie over UTF-16 units. Nodes are numbers, 0 the root. */
interface Trie {
  /** The child of a node by `node * 65536 + unit`. */
  readonly children: ReadonlyMap<number, number>;
  /** The id of the token that ends at a node; -1 if none does. */
  readonly idOf: readonly number[];
}

function buildTrie(ids: ReadonlyMap<string, number>): Trie {
  const children = new Map<number, number>();
  const idOf = [-1];
  for (const [token, id] of ids) {
    let node = 0;
    for (let at = 0; at < token.length; at++) {
      const key = node * 0x1_0000 + token.charCodeAt(at);
      let next = children.get(key);
      if (next === undefined) {
        next = idOf.push(-1) - 1;
        children.set(key, next);
      }
      node = next;
    }
    if (node > 0) idOf[node] = id;
  }
  return { children, idOf };
}
