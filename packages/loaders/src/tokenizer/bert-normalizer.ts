import type { AlignedText } from "./aligned-text.ts";
import { whitespace } from "./character-classes.ts";
import type { TokenizerComponent } from "./definition.ts";
import { lowercase, removeCharacters, replaceMatches } from "./rewrite.ts";
import type { Normalize } from "./rewrite.ts";
import { makeUnicodeForm } from "./unicode-form.ts";

const ideograph =
  /[\u4e00-\u9fff\u3400-\u4dbf\u{20000}-\u{2a6df}\u{2a700}-\u{2b73f}\u{2b740}-\u{2b81f}\u{2b920}-\u{2ceaf}\uf900-\ufaff\u{2f800}-\u{2fa1f}]/gu;

/** BERT's own normaliser: clean up, put spaces around ideographs, take accents off, lower. */
export function makeBertNormalizer(component: TokenizerComponent): Normalize {
  const steps: Normalize[] = [];
  const lowers = component.lowercase !== false;
  // Where nothing is said about accents, they go together with capitals.
  const strips = typeof component.strip_accents === "boolean" ? component.strip_accents : lowers;
  if (component.clean_text !== false) steps.push(cleanUp);
  if (component.handle_chinese_chars !== false) steps.push(spaceIdeographs);
  if (strips) steps.push(makeUnicodeForm("NFD"), removeCharacters(/\p{Mn}+/gu));
  if (lowers) steps.push(lowercase);
  return (text) => steps.reduce((current, step) => step(current), text);
}

const spaces = /* @__PURE__ */ new RegExp(`[${whitespace}]`, "gu");

/** Drops control characters and makes every white space a space. */
function cleanUp(text: AlignedText): AlignedText {
  const kept = replaceMatches(text, /(?![\t\n\r])[\ufffd\p{Cc}\p{Cf}\p{Co}]/gu, () => "");
  return replaceMatches(kept, spaces, () => " ");
}

/** Spaces count as the ideograph itself, as in the reference: all three stand for it. */
function spaceIdeographs(text: AlignedText): AlignedText {
  return replaceMatches(text, ideograph, (character) => ` ${character} `);
}
