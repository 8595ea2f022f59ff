import { bytesOfToken } from "./byte-level.ts";
import type { TokenizerDefinition, TokenizerSettings } from "./definition.ts";
import { makeLibraryTokenizer } from "./library.ts";

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
  const library = makeLibraryTokenizer(
    { ...definition, pre_tokenizer: null },
    { clean_up_tokenization_spaces: settings.cleanUpSpaces },
  );
  const added = new Set(definition.added_tokens.map(({ id }) => id));
  return {
    decode(ids, skip) {
      const list = known(ids, skip);
      return list.length === 0 ? "" : library.decode(list, {});
    },
    tokenText(id) {
      const token = vocabulary[id] ?? "";
      if (added.has(id)) return token;
      const byte = /^<0x([0-9A-F]{2})>$/.exec(token)?.[1];
      if (byte !== undefined) return utf8.decode(Uint8Array.of(Number.parseInt(byte, 16)));
      return token.replaceAll("\u2581", " ");
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
    decode(ids, skip) {
      const parts = known(ids, skip).map(bytesOfId);
      const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
      let at = 0;
      for (const part of parts) {
        bytes.set(part, at);
        at += part.length;
      }
      return utf8.decode(bytes);
    },
    tokenText: (id) => utf8.decode(bytesOfId(id)),
  };
}
