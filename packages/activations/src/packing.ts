import { ConfigError } from "@latentkit/core";
import { renderChat } from "@latentkit/loaders";
import type { Tokenizer } from "@latentkit/loaders";
import type { TextDocument } from "./document.ts";

/** How documents become contexts, the rows of tokens that the model reads. */
export interface PackingPolicy {
  /** `"documents"`: each document is cut into contexts of its own, so that no context mixes two texts. */
  readonly packing: "documents";
  /** Tokens in a context, the BOS token included. */
  readonly contextSize: number;
  /** Whether each context starts with the tokenizer's BOS token. A document that starts with it already gets no second one. */
  readonly prependBos: boolean;
  /** A document's last context is kept, padded, if it has at least this many tokens of text; else they are dropped. */
  readonly minimumTokens: number;
  /** Only so many tokens from the start of each document, so that a short harvest sees many of them; null for all. */
  readonly documentTokens: number | null;
}

/** Contexts of 128 tokens, no BOS, last contexts kept from 8 tokens on. */
export const defaultPacking: PackingPolicy = {
  packing: "documents",
  contextSize: 128,
  prependBos: false,
  minimumTokens: 8,
  documentTokens: null,
};

/** One row of tokens for the model. Every array has `contextSize` entries; those from `length` on are padding. */
export interface Context {
  /** Index of the document in the order in which documents came. */
  readonly document: number;
  readonly documentId: string;
  readonly tokens: Int32Array<ArrayBuffer>;
  /** Tokens that are not padding, BOS included. */
  readonly length: number;
  /** Where each token starts in the text, in UTF-16 units. Of a chat: in the rendered text. */
  readonly starts: Int32Array<ArrayBuffer>;
  /** Where each token ends, exclusive. The BOS token and padding have empty spans. */
  readonly ends: Int32Array<ArrayBuffer>;
  /** Role of the message that a token belongs to; null outside chats and for BOS and padding. */
  readonly roles: readonly (string | null)[];
  /** Index of the message that a token belongs to; -1 where there is none. */
  readonly turns: Int32Array<ArrayBuffer>;
  /** Which token of the document (BOS not counted) the context's text starts with. */
  readonly firstPosition: number;
}

/** A document's contexts. */
export interface PackedDocument {
  readonly contexts: readonly Context[];
  /** Tokens of the whole document, BOS not counted. */
  readonly tokens: number;
  /** Tokens at the end that are in no context: too few for one, or beyond `documentTokens`. */
  readonly dropped: number;
}

/**
 * Cuts one document into contexts: its tokens in order, each in exactly one context, except a tail of fewer than
 * `minimumTokens` and what is beyond `documentTokens`.
 *
 * @param index the document's index, which the contexts carry
 * @throws ConfigError `PACKING_INVALID`, `BOS_MISSING`
 */
export function packDocument(
  tokenizer: Tokenizer,
  document: TextDocument,
  index: number,
  policy: PackingPolicy,
): PackedDocument {
  const bos = checkPacking(tokenizer, policy);
  const encoded = encodeDocument(tokenizer, document);
  const tokens = encoded.ids.length;
  const total = Math.min(tokens, policy.documentTokens ?? tokens);
  const contexts: Context[] = [];
  let position = 0;
  while (position < total) {
    // A chat template may write the BOS itself; two in a row is what no model was trained on.
    const prepend = bos !== null && !(position === 0 && encoded.ids[0] === bos);
    const room = policy.contextSize - (prepend ? 1 : 0);
    const count = Math.min(room, total - position);
    if (count < room && count < policy.minimumTokens) break;
    contexts.push(
      cut(tokenizer, document, index, policy, encoded, position, count, prepend ? bos : null),
    );
    position += count;
  }
  return { contexts, tokens, dropped: tokens - position };
}

/** Packs documents as they come; see {@link packDocument}. The tokenizer works one document at a time. */
export async function* packDocuments(
  tokenizer: Tokenizer,
  documents: AsyncIterable<TextDocument> | Iterable<TextDocument>,
  policy: PackingPolicy,
): AsyncGenerator<Context, void, undefined> {
  let index = 0;
  for await (const document of documents) {
    yield* packDocument(tokenizer, document, index, policy).contexts;
    index += 1;
  }
}

/** Checks a policy against a tokenizer; gives the BOS token's id if the policy asks for it, else null. */
export function checkPacking(tokenizer: Tokenizer, policy: PackingPolicy): number | null {
  const { contextSize, minimumTokens, prependBos, documentTokens } = policy;
  const smallest = prependBos ? 2 : 1;
  const whole = [contextSize, minimumTokens, documentTokens ?? minimumTokens].every(
    Number.isSafeInteger,
  );
  const fits = contextSize >= smallest && minimumTokens >= 1 && minimumTokens <= contextSize;
  if (!whole || !fits || (documentTokens !== null && documentTokens < minimumTokens)) {
    throw new ConfigError({
      code: "PACKING_INVALID",
      message: `contexts of ${contextSize} tokens, of ${minimumTokens} at least, from ${documentTokens ?? "all"} tokens of a document cannot be cut`,
      fix: `give a contextSize of at least ${smallest}, minimumTokens from 1 to contextSize, and documentTokens of at least minimumTokens`,
    });
  }
  if (!prependBos) return null;
  const { bos } = tokenizer.specialTokens;
  if (bos !== null) return bos;
  throw new ConfigError({
    code: "BOS_MISSING",
    message: "prependBos is on, but the tokenizer has no BOS token",
    fix: "turn prependBos off for this model",
  });
}

interface EncodedDocument {
  readonly ids: Int32Array;
  readonly starts: Int32Array;
  readonly ends: Int32Array;
  readonly roles: readonly (string | null)[] | null;
  readonly turns: Int32Array | null;
}

function encodeDocument(tokenizer: Tokenizer, document: TextDocument): EncodedDocument {
  if (document.messages === undefined)
    return { ...tokenizer.encode(document.text), roles: null, turns: null };
  return renderChat(tokenizer, document.messages);
}

/** Tokens `position .. position + count` of a document as a padded context, after a BOS token unless it is null. */
function cut(
  tokenizer: Tokenizer,
  document: TextDocument,
  index: number,
  policy: PackingPolicy,
  encoded: EncodedDocument,
  position: number,
  count: number,
  bos: number | null,
): Context {
  const { contextSize } = policy;
  const lead = bos === null ? 0 : 1;
  const end = position + count;
  const firstStart = encoded.starts[position] ?? 0;
  const lastEnd = encoded.ends[end - 1] ?? 0;
  const tokens = new Int32Array(contextSize).fill(paddingToken(tokenizer), lead + count);
  const starts = new Int32Array(contextSize).fill(lastEnd, lead + count);
  const ends = starts.slice();
  const turns = new Int32Array(contextSize).fill(-1);
  const roles = Array.from<string | null>({ length: contextSize }).fill(null);
  if (bos !== null) {
    tokens[0] = bos;
    starts[0] = firstStart;
    ends[0] = firstStart;
  }
  tokens.set(encoded.ids.subarray(position, end), lead);
  starts.set(encoded.starts.subarray(position, end), lead);
  ends.set(encoded.ends.subarray(position, end), lead);
  if (encoded.turns !== null) turns.set(encoded.turns.subarray(position, end), lead);
  if (encoded.roles !== null) {
    for (let offset = 0; offset < count; offset++)
      roles[lead + offset] = encoded.roles[position + offset] ?? null;
  }
  const length = lead + count;
  return {
    document: index,
    documentId: document.id,
    tokens,
    length,
    starts,
    ends,
    roles,
    turns,
    firstPosition: position,
  };
}

/** What fills short contexts. Attention is causal, so that its value changes no token before it. */
function paddingToken(tokenizer: Tokenizer): number {
  const { pad, eos } = tokenizer.specialTokens;
  return pad ?? eos ?? 0;
}
