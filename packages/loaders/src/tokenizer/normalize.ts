import { sliceAligned } from "./aligned-text.ts";
import type { AlignedText } from "./aligned-text.ts";
import { makeBertNormalizer } from "./bert-normalizer.ts";
import { whitespace } from "./character-classes.ts";
import { asComponent, definitionError, unsupportedError } from "./definition.ts";
import type { TokenizerComponent } from "./definition.ts";
import { parsePattern } from "./patterns.ts";
import { makePrecompiled } from "./precompiled.ts";
import { lowercase, prependText, removeCharacters, replaceMatches } from "./rewrite.ts";
import type { Normalize } from "./rewrite.ts";
import { isUnicodeForm, makeUnicodeForm } from "./unicode-form.ts";

/** Makes the normaliser that a tokenizer's definition asks for; throws `TOKENIZER_UNSUPPORTED` where it is not there. */
export function makeNormalizer(component: TokenizerComponent | null): Normalize {
  if (component === null) return (text) => text;
  const { type } = component;
  if (isUnicodeForm(type)) return makeUnicodeForm(type);
  switch (type) {
    case "Sequence":
      return makeSequence(component);
    case "Prepend":
      return makePrepend(component);
    case "Strip":
      return makeStrip(component);
    case "StripAccents":
      return removeCharacters(/\p{M}+/gu);
    case "Replace":
      return makeReplace(component);
    case "Lowercase":
      return lowercase;
    case "Nmt":
      return nmt;
    case "Precompiled":
      return makePrecompiled(component);
    case "BertNormalizer":
      return makeBertNormalizer(component);
    default:
      throw unsupportedError(`the tokenizer uses the normalizer "${type}", which is not supported`);
  }
}

function makeSequence(component: TokenizerComponent): Normalize {
  const list: unknown = component.normalizers;
  if (!Array.isArray(list))
    throw definitionError("a Sequence normaliser has no list of normalizers");
  const steps = list.map((step: unknown) => makeNormalizer(asComponent(step)));
  return (text) => steps.reduce((current, step) => step(current), text);
}

function makePrepend(component: TokenizerComponent): Normalize {
  const { prepend } = component;
  if (typeof prepend !== "string")
    throw definitionError("a Prepend normaliser has no text to prepend");
  return (text) => prependText(text, prepend);
}

function makeStrip(component: TokenizerComponent): Normalize {
  const left = new RegExp(component.strip_left === false ? "^" : `^[${whitespace}]*`, "u");
  const right = new RegExp(component.strip_right === false ? "$" : `[${whitespace}]*$`, "u");
  return (text) => {
    const from = left.exec(text.text)?.[0].length ?? 0;
    const to = from + text.text.slice(from).replace(right, "").length;
    return sliceAligned(text, from, to);
  };
}

function makeReplace(component: TokenizerComponent): Normalize {
  const { content } = component;
  if (typeof content !== "string") throw definitionError("a Replace normaliser has no content");
  const pattern = parsePattern(component.pattern, "a Replace normaliser");
  return (text) => replaceMatches(text, pattern, () => content);
}

// SentencePiece's rules for machine translation: control characters go, and unusual blanks become spaces.
const nmtRemoved = /(?![\0\t\n\f\r\x80-\x8e\x90-\x9e])\p{Cc}/gu;
const nmtSpaces = /[\t\n\f\r\u1680\u200b-\u200f\u2028\u2029\u2581\ufeff\ufffd]/gu;

function nmt(text: AlignedText): AlignedText {
  return replaceMatches(
    replaceMatches(text, nmtRemoved, () => ""),
    nmtSpaces,
    () => " ",
  );
}
