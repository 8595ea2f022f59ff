import { AlignedBuilder, originalStart } from "./aligned-text.ts";
import type { AlignedText } from "./aligned-text.ts";
import { gpt2Pattern, punctuation, whitespace, wordCharacter } from "./character-classes.ts";
import { asComponent, definitionError, unsupportedError } from "./definition.ts";
import type { TokenizerComponent } from "./definition.ts";
import { escapePattern, parsePattern } from "./patterns.ts";
import { prependText } from "./rewrite.ts";
import { splitText } from "./split-text.ts";
import type { SplitBehavior } from "./split-text.ts";

/** Cuts a text into the pieces that the model sees. */
export type PreTokenize = (text: AlignedText) => readonly AlignedText[];

/** What a definition's pre-tokenizer comes to. */
export interface PreTokenizer {
  readonly preTokenize: PreTokenize;
  /** Whether pieces are spelled in the byte alphabet before the model looks at them. */
  readonly byteLevel: boolean;
}

const behaviors: readonly SplitBehavior[] = [
  "Removed",
  "Isolated",
  "MergedWithPrevious",
  "MergedWithNext",
  "Contiguous",
];

/** Makes the pre-tokenizer that a tokenizer's definition asks for. */
export function makePreTokenizer(component: TokenizerComponent | null): PreTokenizer {
  const steps = component === null ? [] : flatten(component);
  const byteLevelAt = steps.findIndex(({ type }) => type === "ByteLevel");
  if (byteLevelAt !== -1 && byteLevelAt !== steps.length - 1)
    throw unsupportedError("the tokenizer cuts text after spelling it in bytes");
  const stages = steps.map(makeStage);
  return {
    byteLevel: byteLevelAt !== -1,
    preTokenize: (text) =>
      stages.reduce<readonly AlignedText[]>((pieces, stage) => pieces.flatMap(stage), [text]),
  };
}

function flatten(component: TokenizerComponent): TokenizerComponent[] {
  if (component.type !== "Sequence") return [component];
  const list: unknown = component.pretokenizers;
  if (!Array.isArray(list))
    throw definitionError("a Sequence pre-tokenizer has no list of pretokenizers");
  return list.flatMap((step: unknown) => flatten(asComponent(step)));
}

function makeStage(component: TokenizerComponent): PreTokenize {
  switch (component.type) {
    case "ByteLevel":
      return makeByteLevel(component);
    case "Digits": {
      const digits = component.individual_digits === true ? /\p{N}/gu : /\p{N}+/gu;
      return (text) => splitText(text, digits, "Isolated");
    }
    case "Split":
      return makeSplit(component);
    case "Punctuation": {
      const pattern = new RegExp(`[${punctuation}]`, "gu");
      const behavior = parseBehavior(component.behavior ?? "Isolated");
      return (text) => splitText(text, pattern, behavior);
    }
    case "Whitespace": {
      const pattern = new RegExp(`[${wordCharacter}]+|[^${wordCharacter}${whitespace}]+`, "gu");
      return (text) => splitText(text, pattern, "Removed", true);
    }
    case "WhitespaceSplit": {
      const spaces = new RegExp(`[${whitespace}]+`, "gu");
      return (text) => splitText(text, spaces, "Removed");
    }
    case "BertPreTokenizer": {
      const spaces = new RegExp(`[${whitespace}]+`, "gu");
      const marks = new RegExp(`[${punctuation}]`, "gu");
      return (text) =>
        splitText(text, spaces, "Removed").flatMap((piece) => splitText(piece, marks, "Isolated"));
    }
    case "CharDelimiterSplit": {
      const { delimiter } = component;
      if (typeof delimiter !== "string" || delimiter === "")
        throw definitionError("a CharDelimiterSplit pre-tokenizer has no delimiter");
      const pattern = new RegExp(escapePattern(delimiter), "gu");
      return (text) => splitText(text, pattern, "Removed");
    }
    case "Metaspace":
      return makeMetaspace(component);
    default:
      throw unsupportedError(
        `the tokenizer uses the pre-tokenizer "${component.type}", which is not supported`,
      );
  }
}

function makeByteLevel(component: TokenizerComponent): PreTokenize {
  const words = new RegExp(gpt2Pattern, "gu");
  const addSpace = component.add_prefix_space === true;
  const useWords = component.use_regex !== false;
  return (text) => {
    const spaced = addSpace && !text.text.startsWith(" ") ? prependText(text, " ") : text;
    if (!useWords) return spaced.text === "" ? [] : [spaced];
    return splitText(spaced, words, "Isolated");
  };
}

function makeSplit(component: TokenizerComponent): PreTokenize {
  const behavior = parseBehavior(component.behavior);
  const invert = component.invert === true;
  const expression = parsePattern(component.pattern, "a Split pre-tokenizer");
  return (text) => splitText(text, expression, behavior, invert);
}

function parseBehavior(given: unknown): SplitBehavior {
  const name = typeof given === "object" && given !== null ? Object.keys(given)[0] : given;
  const found = behaviors.find((behavior) => behavior === name);
  if (found === undefined)
    throw definitionError(
      `a pre-tokenizer has the behaviour "${String(name)}"; ${behaviors.join(", ")} are known`,
    );
  return found;
}

/** SentencePiece's way: spaces become a visible mark, which begins the word after it. */
function makeMetaspace(component: TokenizerComponent): PreTokenize {
  const mark = typeof component.replacement === "string" ? component.replacement : "\u2581";
  const scheme =
    component.prepend_scheme ?? (component.add_prefix_space === false ? "never" : "always");
  const marks = new RegExp(escapePattern(mark), "gu");
  return (text) => {
    const first = originalStart(text, 0) === 0;
    const marked = replaceSpaces(text, mark);
    const prepend = scheme === "always" || (scheme === "first" && first);
    const whole = prepend && !marked.text.startsWith(mark) ? prependText(marked, mark) : marked;
    if (component.split === false) return whole.text === "" ? [] : [whole];
    return splitText(whole, marks, "MergedWithNext");
  };
}

function replaceSpaces(text: AlignedText, mark: string): AlignedText {
  if (!text.text.includes(" ")) return text;
  // Lengths stay as they are, and the alignment with them.
  if (mark.length === 1) return { ...text, text: text.text.replaceAll(" ", mark) };
  const builder = new AlignedBuilder(text);
  for (let i = 0; i < text.text.length; i++) {
    if (text.text[i] === " ") builder.add(mark, i, i + 1);
    else builder.keep(i, i + 1);
  }
  return builder.build();
}
