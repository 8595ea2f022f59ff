import { FormatError } from "@latentkit/core";
import type { GgufMetadata } from "../gguf/metadata.ts";
import { MetadataReader } from "../gguf/metadata-reader.ts";
import { buildTokenizer } from "./build-tokenizer.ts";
import { spellsBytes } from "./byte-level.ts";
import { parseDefinition } from "./definition.ts";
import type { TokenizerSettings } from "./definition.ts";
import { ggufPreTokenizers } from "./gguf-pre-tokenizers.ts";
import type { GgufPreTokenizer } from "./gguf-pre-tokenizers.ts";
import { sentencePieceDefinition } from "./gguf-sentencepiece.ts";
import type { Tokenizer } from "./tokenizer.ts";

const unknownToken = 2;
const controlToken = 3;
const userDefinedToken = 4;

/**
 * The tokenizer that a GGUF file describes: byte-level BPE (`tokenizer.ggml.model = gpt2`) with a pre-tokenizer that is known by
 * name, or SentencePiece BPE (`llama`). It gives the ids of the `tokenizer.json` that the file was converted from.
 *
 * Throws {@link FormatError} `TOKENIZER_UNSUPPORTED` for other kinds and `GGUF_METADATA` for missing metadata.
 *
 * @param where the file's name, for messages.
 */
export function tokenizerFromGguf(metadata: GgufMetadata, where = "GGUF metadata"): Tokenizer {
  const read = new MetadataReader(metadata, where);
  const model = read.string("tokenizer.ggml.model");
  if (model !== "gpt2" && model !== "llama")
    throw unsupported(
      `the tokenizer is of kind "${model}"; "gpt2" (byte-level BPE) and "llama" (SentencePiece BPE) can be read`,
      where,
    );
  const tokens = read.strings("tokenizer.ggml.tokens");
  const settings = readSettings(read, tokens, where);
  const bytes = model === "gpt2";
  const how = bytes ? readPreTokenizer(read, where) : null;
  const steps =
    how === null
      ? sentencePieceDefinition(read, tokens, where)
      : byteLevelDefinition(read, tokens, how, where);
  const definition = parseDefinition({
    ...steps,
    added_tokens: addedTokens(read, tokens, bytes),
    post_processor: postProcessor(read, settings, how?.bosUnlessTold ?? true),
  });
  return buildTokenizer(definition, settings);
}

function readPreTokenizer(read: MetadataReader, where: string): GgufPreTokenizer {
  const pre = read.has("tokenizer.ggml.pre") ? read.string("tokenizer.ggml.pre") : "default";
  const found = ggufPreTokenizers.get(pre);
  if (found !== undefined) return found;
  throw unsupported(
    `the tokenizer cuts text in the way "${pre}"; ${[...ggufPreTokenizers.keys()].join(", ")} are known`,
    where,
  );
}

function byteLevelDefinition(
  read: MetadataReader,
  tokens: readonly string[],
  how: GgufPreTokenizer,
  where: string,
): object {
  return {
    normalizer: how.normalizer,
    pre_tokenizer: how.preTokenizer,
    decoder: { type: "ByteLevel" },
    model: {
      type: "BPE",
      vocab: idsByToken(tokens),
      merges: readMerges(read, where),
      ignore_merges: how.ignoresMerges,
    },
  };
}

/** A property for each token, the later id where two are the same; made without an array for each pair. */
function idsByToken(tokens: readonly string[]): Readonly<Record<string, number>> {
  // Without a prototype no name is special; the cast says what is put in.
  const ids = Object.create(null) as Record<string, number>;
  for (const [id, token] of tokens.entries()) ids[token] = id;
  return ids;
}

function readMerges(read: MetadataReader, where: string): readonly (readonly [string, string])[] {
  return read.strings("tokenizer.ggml.merges").map((merge) => {
    const [left, right, ...rest] = merge.split(" ");
    if (left !== undefined && right !== undefined && rest.length === 0)
      return [left, right] as const;
    throw new FormatError({
      code: "GGUF_METADATA",
      message: `the merge ${JSON.stringify(merge)} is not two tokens with a space between`,
      fix: "convert the model again with a current llama.cpp",
      where,
    });
  });
}

/**
 * Control tokens are special, and what is unknown; user-defined ones are only kept whole. Of byte-level BPE, none is special that
 * cannot be spelled in bytes.
 */
function addedTokens(
  read: MetadataReader,
  tokens: readonly string[],
  bytes: boolean,
): readonly object[] {
  if (!read.has("tokenizer.ggml.token_type")) return [];
  const added: object[] = [];
  for (const [id, type] of read.numbers("tokenizer.ggml.token_type").entries()) {
    const content = tokens[id] ?? "";
    const special = type === controlToken || (!bytes && type === unknownToken);
    const known = special ? !bytes || spellsBytes(content) : type === userDefinedToken;
    if (content === "" || !known) continue;
    added.push({ id, content, special, normalized: false });
  }
  return added;
}

function readSettings(
  read: MetadataReader,
  tokens: readonly string[],
  where: string,
): TokenizerSettings {
  const token = (key: string): string | null => {
    if (!read.has(key)) return null;
    const id = read.count(key);
    const found = tokens[id];
    if (found !== undefined) return found;
    throw new FormatError({
      code: "GGUF_METADATA",
      message: `${key} is ${id}, but there are ${tokens.length} tokens`,
      fix: "convert the model again with a current llama.cpp",
      where,
    });
  };
  return {
    bos: token("tokenizer.ggml.bos_token_id"),
    eos: token("tokenizer.ggml.eos_token_id"),
    pad: token("tokenizer.ggml.padding_token_id"),
    unknown: null,
    chatTemplate: read.has("tokenizer.chat_template")
      ? read.string("tokenizer.chat_template")
      : null,
    cleanUpSpaces: false,
  };
}

/** @param bosUnlessTold llama.cpp puts BOS before Llama 3's texts where the file does not say whether to. */
function postProcessor(
  read: MetadataReader,
  { bos, eos }: TokenizerSettings,
  bosUnlessTold: boolean,
): object | null {
  const special = (token: string | null, wanted: boolean): object[] =>
    token !== null && wanted ? [{ SpecialToken: { id: token, type_id: 0 } }] : [];
  const single = [
    ...special(bos, read.boolean("tokenizer.ggml.add_bos_token", bosUnlessTold)),
    { Sequence: { id: "A", type_id: 0 } },
    ...special(eos, read.boolean("tokenizer.ggml.add_eos_token", false)),
  ];
  return single.length === 1
    ? null
    : { type: "TemplateProcessing", single, pair: [], special_tokens: {} };
}

function unsupported(message: string, where: string): FormatError {
  return new FormatError({
    code: "TOKENIZER_UNSUPPORTED",
    message,
    fix: "get the model as a safetensors folder with its tokenizer.json",
    where,
  });
}
