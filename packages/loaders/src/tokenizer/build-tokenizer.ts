import { FormatError } from "@latentkit/core";
import { hashBytes } from "../sha256.ts";
import { AddedTokenMatcher } from "./added-token-matcher.ts";
import { originalEnd, originalStart, plainText, sliceAligned } from "./aligned-text.ts";
import type { AlignedText } from "./aligned-text.ts";
import { canonicalJson } from "./canonical-json.ts";
import { makeDecoder } from "./decode.ts";
import { vocabularyOf } from "./definition.ts";
import type { AddedToken, TokenizerDefinition, TokenizerSettings } from "./definition.ts";
import { EncodingBuilder } from "./encoding-builder.ts";
import { makeNormalizer } from "./normalize.ts";
import { makePieceEncoder } from "./piece-encoder.ts";
import { makePostProcessor } from "./post-process.ts";
import { makePreTokenizer } from "./pre-tokenize.ts";
import type { SpecialTokens, Tokenizer } from "./tokenizer.ts";

/**
 * Puts a tokenizer together from its steps: added tokens are cut out, what lies between is normalised, cut into pieces and given
 * to the model, and every token knows its characters. Steps follow the reference, Hugging Face `tokenizers`; the translation of its
 * regular expressions is that of `@huggingface/tokenizers`.
 */
export function buildTokenizer(
  definition: TokenizerDefinition,
  settings: TokenizerSettings,
): Tokenizer {
  const vocabulary = vocabularyOf(definition);
  const ids = new Map<string, number>();
  for (const [id, token] of vocabulary.entries()) if (token !== undefined) ids.set(token, id);
  const modelIds = withoutAdded(ids, definition);
  const normalize = makeNormalizer(definition.normalizer);
  const { preTokenize, byteLevel } = makePreTokenizer(definition.pre_tokenizer);
  const encodePiece = makePieceEncoder(definition.model, modelIds, byteLevel);
  const [before, after] = makeMatchers(
    definition.added_tokens,
    (text) => normalize(plainText(text)).text,
  );
  const around = makePostProcessor(definition.post_processor, {
    ids,
    vocabulary,
    added: new Set(definition.added_tokens.map(({ id }) => id)),
  });
  const decoder = makeDecoder(definition, settings, vocabulary);
  let identity: string | undefined;

  const encodeSection = (section: AlignedText, out: EncodingBuilder): void => {
    for (const piece of preTokenize(section)) {
      const tokens = encodePiece(piece.text);
      const { starts, ends } = tokens;
      for (let i = 0; i < starts.length; i++) {
        out.push(
          tokens.ids[i] ?? 0,
          originalStart(piece, starts[i] ?? 0),
          originalEnd(piece, ends[i] ?? 0),
        );
      }
    }
  };

  return {
    vocabularySize: vocabulary.length,
    specialTokens: findSpecialTokens(definition.added_tokens, settings, ids),
    chatTemplate: settings.chatTemplate,
    get identity() {
      identity ??= hashBytes(canonicalJson({ definition, settings }));
      return identity;
    },
    encode(text, options) {
      const out = new EncodingBuilder(Math.ceil(text.length / 3) + 16);
      const whole = plainText(text);
      for (const { from, to, id } of before.split(text)) {
        if (id !== null) {
          out.push(id, from, to);
          continue;
        }
        const section = normalize(sliceAligned(whole, from, to));
        for (const inner of after.split(section.text)) {
          if (inner.id === null) encodeSection(sliceAligned(section, inner.from, inner.to), out);
          else
            out.push(inner.id, originalStart(section, inner.from), originalEnd(section, inner.to));
        }
      }
      around.trim?.(out, text);
      return out.build(options?.addSpecialTokens === true ? around : noTokens, text.length);
    },
    decode: (list, options) => decoder.decode(list, options?.skipSpecialTokens === true),
    tokenText: (id) => decoder.tokenText(id),
    tokenId: (token) => ids.get(token) ?? null,
  };
}

/** Tokens that are looked for in the text as given, and those that are looked for after normalisation. */
function makeMatchers(
  tokens: readonly AddedToken[],
  normalize: (text: string) => string,
): readonly [AddedTokenMatcher, AddedTokenMatcher] {
  const asGiven = tokens
    .filter(({ normalized }) => !normalized)
    .map((token) => [token.content, token] as const);
  const normalized = tokens
    .filter((token) => token.normalized)
    .map((token) => [normalize(token.content), token] as const);
  return [new AddedTokenMatcher(new Map(asGiven)), new AddedTokenMatcher(new Map(normalized))];
}

const noTokens = { before: [], after: [] } as const;

/** The ids that the model itself can give: without tokens that were only added. */
function withoutAdded(
  ids: ReadonlyMap<string, number>,
  { model, added_tokens }: TokenizerDefinition,
): ReadonlyMap<string, number> {
  const { vocab } = model;
  if (typeof vocab !== "object" || vocab === null || Array.isArray(vocab)) return ids;
  const beside = added_tokens.filter(({ content }) => !Object.hasOwn(vocab, content));
  if (beside.length === 0) return ids;
  const own = new Map(ids);
  for (const { content } of beside) own.delete(content);
  return own;
}

function findSpecialTokens(
  tokens: readonly AddedToken[],
  settings: TokenizerSettings,
  ids: ReadonlyMap<string, number>,
): SpecialTokens {
  const find = (role: string, token: string | null): number | null => {
    if (token === null) return null;
    const id = ids.get(token);
    if (id !== undefined) return id;
    throw new FormatError({
      code: "TOKENIZER_CONFIG",
      message: `the ${role} token is ${JSON.stringify(token)}, which is not in the vocabulary`,
      fix: "tokenizer.json and tokenizer_config.json belong to different models: get both from one place",
    });
  };
  return {
    bos: find("bos", settings.bos),
    eos: find("eos", settings.eos),
    pad: find("pad", settings.pad),
    all: new Map(tokens.filter(({ special }) => special).map(({ content, id }) => [content, id])),
  };
}
