import { AlignedBuilder } from "./aligned-text.ts";
import type { CharacterChange } from "./aligned-text.ts";
import { definitionError } from "./definition.ts";
import type { TokenizerComponent } from "./definition.ts";
import type { Normalize } from "./rewrite.ts";

const longestGrapheme = 5;

/**
 * SentencePiece's compiled map of characters, read as the reference reads it: graphemes of at most five bytes by the shortest rule
 * that they begin with, longer ones and those without a rule character by character.
 */
export function makePrecompiled(component: TokenizerComponent): Normalize {
  const map = component.precompiled_charsmap;
  if (typeof map !== "string") throw definitionError("a Precompiled normaliser has no charsmap");
  const lookUp = remembered(readMap(map));
  const graphemes = new Intl.Segmenter("en", { granularity: "grapheme" });
  return (text) => {
    const builder = new AlignedBuilder(text);
    let changed = false;
    const rewrite = (part: string, at: number): boolean => {
      const found = lookUp(part);
      if (found === null) return false;
      changed = true;
      builder.replace(changesBetween(part, found), at);
      return true;
    };
    for (const { segment, index } of segmentsOf(text.text, graphemes)) {
      const short =
        segment.length <= longestGrapheme && utf8.encode(segment).length <= longestGrapheme;
      if (short && rewrite(segment, index)) continue;
      let at = index;
      for (const character of segment) {
        if (!rewrite(character, at)) builder.keep(at, at + character.length);
        at += character.length;
      }
    }
    return changed ? builder.build() : text;
  };
}

const utf8 = /* @__PURE__ */ new TextEncoder();

/** ASCII between ASCII, where every character is a grapheme, and what may be more. */
const stretches = /(?<![^ -~])[ -~](?![^ -~])|[^]+?(?=[ -~]{2}|$)[ -~]?/gu;

/** The graphemes of a text; the slow search is only for stretches that are not plain ASCII. */
function* segmentsOf(
  text: string,
  graphemes: Intl.Segmenter,
): Generator<{ readonly segment: string; readonly index: number }> {
  for (const { 0: stretch, index } of text.matchAll(stretches)) {
    if (stretch.length === 1) yield { segment: stretch, index };
    else
      for (const part of graphemes.segment(stretch))
        yield { segment: part.segment, index: index + part.index };
  }
}

const rememberedLimit = 50_000;

function remembered(lookUp: (key: Uint8Array) => string | null): (part: string) => string | null {
  const known = new Map<string, string | null>();
  return (part) => {
    const before = known.get(part);
    if (before !== undefined) return before;
    const found = lookUp(utf8.encode(part));
    if (known.size >= rememberedLimit) known.clear();
    known.set(part, found);
    return found;
  };
}

function changesBetween(before: string, after: string): CharacterChange[] {
  const count = Array.from(before).length;
  const characters = Array.from(after);
  return characters.map((character, index) => {
    const takesRest = index === characters.length - 1 ? Math.min(0, characters.length - count) : 0;
    return { character, change: index < count ? takesRest : 1 };
  });
}

/**
 * Reads `size, trie, texts`: a double-array trie (of the library Darts-clone, in 32-bit units) from bytes to places in a list of
 * texts that end with a zero.
 */
function readMap(base64: string): (key: Uint8Array) => string | null {
  const bytes = decodeBase64(base64);
  const view = new DataView(bytes.buffer);
  const size = bytes.length < 4 ? 0 : view.getUint32(0, true);
  if (bytes.length < 4 || size % 4 !== 0 || size < 4 || 4 + size > bytes.length)
    throw definitionError("the charsmap of a Precompiled normaliser is cut short");
  const units = Uint32Array.from({ length: size / 4 }, (_, at) => view.getUint32(4 + 4 * at, true));
  const texts = bytes.subarray(4 + size);
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  return (key) => {
    let at = offsetOf(units[0] ?? 0);
    for (const byte of key) {
      if (byte === 0) return null;
      at ^= byte;
      const unit = units[at] ?? 0;
      if ((unit & 0x8000_00ff) >>> 0 !== byte) return null;
      at ^= offsetOf(unit);
      if (((unit >>> 8) & 1) === 1) {
        const from = (units[at] ?? 0) & 0x7fff_ffff;
        const end = texts.indexOf(0, from);
        return decoder.decode(texts.subarray(from, end === -1 ? undefined : end));
      }
    }
    return null;
  };
}

function offsetOf(unit: number): number {
  return (unit >>> 10) << ((unit & 0x200) >>> 6);
}

function decodeBase64(base64: string): Uint8Array<ArrayBuffer> {
  try {
    return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  } catch (cause) {
    throw definitionError("the charsmap of a Precompiled normaliser is not base64", cause);
  }
}
