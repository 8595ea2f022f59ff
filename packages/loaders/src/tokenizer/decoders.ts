import { bytesOfToken } from "./byte-level.ts";
import { asComponent, definitionError, unsupportedError } from "./definition.ts";
import type { TokenizerComponent } from "./definition.ts";
import { parsePattern } from "./patterns.ts";

/** One step from tokens to text: texts in, texts out, which are joined at the end. */
export type DecodeTokens = (tokens: readonly string[]) => readonly string[];

/** Makes the decoder that a definition asks for; throws `TOKENIZER_UNSUPPORTED` where it is not there. */
export function makeDecodeTokens(component: TokenizerComponent): DecodeTokens {
  switch (component.type) {
    case "Sequence": {
      const list: unknown = component.decoders;
      if (!Array.isArray(list)) throw definitionError("a Sequence decoder has no list of decoders");
      const steps = list.map((step: unknown) => makeDecodeTokens(asComponent(step)));
      return (tokens) => steps.reduce((current, step) => step(current), tokens);
    }
    case "ByteLevel":
      return (tokens) => [utf8.decode(joinBytes(tokens.map(bytesOfToken)))];
    case "ByteFallback":
      return decodeBytes;
    case "Fuse":
      return (tokens) => [tokens.join("")];
    case "Replace":
      return makeReplace(component);
    case "Strip":
      return makeStrip(component);
    case "Metaspace":
      return makeMetaspace(component);
    case "WordPiece":
      return makeWordPiece(component);
    case "BPEDecoder":
      return makeSuffixed(component);
    default:
      throw unsupportedError(
        `the tokenizer uses the decoder "${component.type}", which is not supported`,
      );
  }
}

const utf8 = /* @__PURE__ */ new TextDecoder("utf-8", { ignoreBOM: true });
const strictUtf8 = /* @__PURE__ */ new TextDecoder("utf-8", { ignoreBOM: true, fatal: true });

/** One array after the other. */
export function joinBytes(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** The byte that a token `<0x41>` stands for; null for other tokens. */
export function byteOfToken(token: string): number | null {
  const digits = /^<0x([0-9A-Fa-f]{2})>$/.exec(token)?.[1];
  return digits === undefined ? null : Number.parseInt(digits, 16);
}

/** Runs of byte tokens become the characters they spell, or one U+FFFD for each byte where they spell none. */
function decodeBytes(tokens: readonly string[]): readonly string[] {
  const out: string[] = [];
  let run: number[] = [];
  const flush = (): void => {
    if (run.length > 0) out.push(textOfBytes(run));
    run = [];
  };
  for (const token of tokens) {
    const byte = byteOfToken(token);
    if (byte !== null) {
      run.push(byte);
      continue;
    }
    flush();
    out.push(token);
  }
  flush();
  return out;
}

function textOfBytes(bytes: readonly number[]): string {
  try {
    return strictUtf8.decode(Uint8Array.from(bytes));
  } catch {
    return "\ufffd".repeat(bytes.length);
  }
}

function makeReplace(component: TokenizerComponent): DecodeTokens {
  const { content } = component;
  if (typeof content !== "string") throw definitionError("a Replace decoder has no content");
  const pattern = parsePattern(component.pattern, "a Replace decoder");
  return (tokens) => tokens.map((token) => token.replaceAll(pattern, () => content));
}

/** Takes up to `start` and `stop` of one character off the ends of every token. */
function makeStrip(component: TokenizerComponent): DecodeTokens {
  const { content, start, stop } = component;
  if (typeof content !== "string" || typeof start !== "number" || typeof stop !== "number")
    throw definitionError("a Strip decoder has no content, start or stop");
  return (tokens) =>
    tokens.map((token) => {
      const characters = Array.from(token);
      let from = 0;
      let to = characters.length;
      while (from < start && from < to && characters[from] === content) from++;
      while (characters.length - to < stop && to > from && characters[to - 1] === content) to--;
      return characters.slice(from, to).join("");
    });
}

function makeMetaspace(component: TokenizerComponent): DecodeTokens {
  const mark = typeof component.replacement === "string" ? component.replacement : "\u2581";
  const scheme =
    component.prepend_scheme ?? (component.add_prefix_space === false ? "never" : "always");
  return (tokens) =>
    tokens.map((token, index) =>
      // The space before the text was put there, so marks of the first token go.
      token.replaceAll(mark, index === 0 && scheme !== "never" ? "" : " "),
    );
}

function makeWordPiece(component: TokenizerComponent): DecodeTokens {
  const prefix = typeof component.prefix === "string" ? component.prefix : "##";
  const cleans = component.cleanup !== false;
  return (tokens) =>
    tokens.map((token, index) => {
      const inside = index > 0 && token.startsWith(prefix);
      const text = inside ? token.slice(prefix.length) : index > 0 ? ` ${token}` : token;
      return cleans ? cleanUpSpaces(text) : text;
    });
}

function makeSuffixed(component: TokenizerComponent): DecodeTokens {
  const suffix = typeof component.suffix === "string" ? component.suffix : "</w>";
  return (tokens) =>
    tokens.map((token, index) => token.replaceAll(suffix, index === tokens.length - 1 ? "" : " "));
}

const unspaced: readonly (readonly [string, string])[] = [
  [" .", "."],
  [" ?", "?"],
  [" !", "!"],
  [" ,", ","],
  [" ' ", "'"],
  [" n't", "n't"],
  [" 'm", "'m"],
  [" do not", " don't"],
  [" 's", "'s"],
  [" 've", "'ve"],
  [" 're", "'re"],
];

/** Takes away the spaces that word pieces leave before punctuation and contractions. */
export function cleanUpSpaces(text: string): string {
  return unspaced.reduce((current, [from, to]) => current.replaceAll(from, to), text);
}
