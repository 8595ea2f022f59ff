import { bytesOfToken } from "./byte-level.ts";
import { byteOfToken, cleanUpSpaces, joinBytes, makeDecodeTokens } from "./decoders.ts";
import type { TokenizerDefinition, TokenizerSettings } from "./definition.ts";

/** Ids back to text. Ids without a token, which padded embeddings can produce, are left out. */
export interface Decoder {
  decode(ids: ArrayLike<number>, skipSpecialTokens: boolean): string;
  tokenText(id: number): string;
}

/** Makes the decoder that a tokenizer's definition asks for. */
export function makeDecoder(
  definition: TokenizerDefinition,
  settings: TokenizerSettings,
  vocabulary: readonly (string | undefined)[],
): Decoder {
  const special = new Set(
    definition.added_tokens.filter((token) => token.special).map(({ id }) => id),
  );
  const known = (ids: ArrayLike<number>, skip: boolean): number[] => {
    return Array.from(ids).filter(
      (id) => vocabulary[id] !== undefined && !(skip && special.has(id)),
    );
  };
  if (definition.decoder?.type === "ByteLevel") return makeByteDecoder(known, vocabulary);
  const decodeTokens = definition.decoder === null ? null : makeDecodeTokens(definition.decoder);
  // Of BPE it would take real spaces, so transformers does not do it there either.
  const cleans = settings.cleanUpSpaces && definition.model.type !== "BPE";
  const added = new Set(definition.added_tokens.map(({ id }) => id));
  return {
    decode(ids, skip) {
      const tokens = known(ids, skip).map((id) => vocabulary[id] ?? "");
      const text = decodeTokens === null ? tokens.join(" ") : decodeTokens(tokens).join("");
      return cleans ? cleanUpSpaces(text) : text;
    },
    tokenText(id) {
      const token = vocabulary[id] ?? "";
      if (added.has(id)) return token;
      const byte = byteOfToken(token);
      return byte === null ? token.replaceAll("\u2581", " ") : utf8.decode(Uint8Array.of(byte));
    },
  };
}

const utf8 = /* @__PURE__ */ new TextDecoder("utf-8", { ignoreBOM: true });

/** Bytes are joined over tokens before they are read as UTF-8, so characters that were split come back whole. */
function makeByteDecoder(
  known: (ids: ArrayLike<number>, skip: boolean) => number[],
  vocabulary: readonly (string | undefined)[],
): Decoder {
  const bytesOf: (Uint8Array | undefined)[] = [];
  const bytesOfId = (id: number): Uint8Array =>
    (bytesOf[id] ??= bytesOfToken(vocabulary[id] ?? ""));
  return {
    decode: (ids, skip) => utf8.decode(joinBytes(known(ids, skip).map(bytesOfId))),
    tokenText: (id) => utf8.decode(bytesOfId(id)),
  };
}
