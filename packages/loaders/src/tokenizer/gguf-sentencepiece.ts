import { FormatError } from "@latentkit/core";
import type { MetadataReader } from "../gguf/metadata-reader.ts";

const normalToken = 1;
const unknownToken = 2;
const userDefinedToken = 4;

/**
 * A SentencePiece BPE (`tokenizer.ggml.model = llama`: Llama 2, Mistral, Gemma) in the words of `tokenizer.json`. SentencePiece
 * joins those neighbours whose whole has the best score; that is a list of merges in the order of scores.
 *
 * @param tokens the vocabulary by id.
 */
export function sentencePieceDefinition(
  read: MetadataReader,
  tokens: readonly string[],
  where: string,
): object {
  const scores = read.numbers("tokenizer.ggml.scores");
  const types = read.numbers("tokenizer.ggml.token_type");
  if (scores.length !== tokens.length || types.length !== tokens.length) {
    throw new FormatError({
      code: "GGUF_METADATA",
      message: `there are ${tokens.length} tokens, ${scores.length} scores and ${types.length} types of tokens: as many of each were expected`,
      fix: "convert the model again with a current llama.cpp",
      where,
    });
  }
  const unknown = tokens[types.indexOf(unknownToken)];
  const prefix = read.boolean("tokenizer.ggml.add_space_prefix", true);
  const mark = { type: "Replace", pattern: { String: " " }, content: "\u2581" };
  const unmark = { type: "Replace", pattern: { String: "\u2581" }, content: " " };
  return {
    normalizer: prefix
      ? { type: "Sequence", normalizers: [{ type: "Prepend", prepend: "\u2581" }, mark] }
      : mark,
    pre_tokenizer: null,
    decoder: {
      type: "Sequence",
      decoders: [
        unmark,
        { type: "ByteFallback" },
        { type: "Fuse" },
        ...(prefix ? [{ type: "Strip", content: " ", start: 1, stop: 0 }] : []),
      ],
    },
    model: {
      type: "BPE",
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges: mergesByScore(tokens, scores, types),
      unk_token: unknown ?? null,
      fuse_unk: true,
      byte_fallback: true,
    },
  };
}

/** All ways to make a token of two others, best score first; of equal ones, as Hugging Face's converter has them. */
function mergesByScore(
  tokens: readonly string[],
  scores: readonly number[],
  types: readonly number[],
): readonly (readonly [string, string])[] {
  const ids = new Map<string, number>();
  for (const [id, token] of tokens.entries())
    if (types[id] === normalToken || types[id] === userDefinedToken) ids.set(token, id);
  const merges: { left: string; right: string; score: number; order: number }[] = [];
  for (const [token, id] of ids) {
    const found: [number, number, string, string][] = [];
    let at = 0;
    for (const character of token) {
      at += character.length;
      const [left, right] = [token.slice(0, at), token.slice(at)];
      const [leftId, rightId] = [ids.get(left), ids.get(right)];
      if (leftId !== undefined && rightId !== undefined) found.push([leftId, rightId, left, right]);
    }
    found.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
    for (const [, , left, right] of found)
      merges.push({ left, right, score: scores[id] ?? 0, order: merges.length });
  }
  const lengthOf = (text: string): number => Array.from(text).length;
  merges.sort(
    (a, b) =>
      b.score - a.score ||
      lengthOf(b.left) - lengthOf(a.left) ||
      lengthOf(b.right) - lengthOf(a.right) ||
      a.order - b.order,
  );
  return merges.map(({ left, right }) => [left, right]);
}
