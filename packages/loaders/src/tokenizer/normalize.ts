import { AlignedBuilder, originalEnd, originalStart, sliceAligned } from "./aligned-text.ts";
import type { AlignedText } from "./aligned-text.ts";
import { whitespace } from "./character-classes.ts";
import { definitionError } from "./definition.ts";
import type { TokenizerComponent } from "./definition.ts";
import { libraryNormalizer } from "./library.ts";

/** Rewrites a text and keeps track of which original characters each new one stands for. */
export type Normalize = (text: AlignedText) => AlignedText;

// Characters that Unicode normalisation may join or reorder: a base with its marks, and in Hangul with the letters after it.
const clusters = /[^\p{M}][\u1160-\u11ff\ud7b0-\ud7fb]*\p{M}*|\p{M}+/gsu;

/** Makes the normaliser that a tokenizer's definition asks for. */
export function makeNormalizer(component: TokenizerComponent | null): Normalize {
  if (component === null) return (text) => text;
  switch (component.type) {
    case "Sequence":
      return makeSequence(component);
    case "Prepend":
      return makePrepend(component);
    case "Strip":
      return makeStrip(component);
    case "Replace":
      return makeReplace(component);
    case "Lowercase":
      return makePiecewise(/./gsu, (character) => character.toLowerCase());
    default: {
      const whole = libraryNormalizer(component);
      const piecewise = makePiecewise(clusters, whole);
      return (text) => {
        const expected = whole(text.text);
        if (expected === text.text) return text;
        const result = piecewise(text);
        return sameButSigma(result.text, expected) ? result : coarse(text, expected);
      };
    }
  }
}

/** JavaScript lowers a sigma by its place in the word, the reference character by character; the stretches have it right. */
function sameButSigma(piecewise: string, whole: string): boolean {
  return piecewise === whole || piecewise.replaceAll("ς", "σ") === whole.replaceAll("ς", "σ");
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

/** Puts `prefix` before a text; it stands for the point where the text begins. */
export function prependText(text: AlignedText, prefix: string): AlignedText {
  if (text.text === "") return text;
  const builder = new AlignedBuilder(text);
  builder.add(prefix, 0, 0);
  builder.keep(0, text.text.length);
  return builder.build();
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
  const pattern: unknown = component.pattern;
  if (typeof content !== "string" || typeof pattern !== "object" || pattern === null)
    throw definitionError("a Replace normaliser has no pattern or content");
  const expression = replacePattern(pattern);
  const whole = libraryNormalizer(component);
  return (text) => {
    const builder = new AlignedBuilder(text);
    let reached = 0;
    for (const match of text.text.matchAll(expression)) {
      if (match[0] === "") continue;
      const end = match.index + match[0].length;
      builder.keep(reached, match.index);
      builder.add(content, match.index, end);
      reached = end;
    }
    if (reached === 0) return text;
    builder.keep(reached, text.text.length);
    const result = builder.build();
    // The library translates the dialect of the pattern; where that makes a difference, its text counts.
    const expected = whole(text.text);
    return "Regex" in pattern && result.text !== expected ? coarse(text, expected) : result;
  };
}

function replacePattern(pattern: object): RegExp {
  if ("String" in pattern && typeof pattern.String === "string" && pattern.String !== "") {
    return new RegExp(pattern.String.replaceAll(/[$()*+.?[\\\]^{|}/]/g, String.raw`\$&`), "gu");
  }
  if ("Regex" in pattern && typeof pattern.Regex === "string") {
    try {
      return new RegExp(pattern.Regex, "gu");
    } catch (cause) {
      throw definitionError(
        `the pattern ${pattern.Regex} of a Replace normaliser is no regular expression`,
        cause,
      );
    }
  }
  throw definitionError("a Replace normaliser has neither a String nor a Regex to look for");
}

/** Rewrites stretch by stretch, so that each new character stands for the characters of its stretch. */
function makePiecewise(stretches: RegExp, rewrite: (text: string) => string): Normalize {
  return (text) => {
    const builder = new AlignedBuilder(text);
    for (const match of text.text.matchAll(stretches)) {
      const end = match.index + match[0].length;
      const rewritten = rewrite(match[0]);
      if (rewritten === match[0]) builder.keep(match.index, end);
      else if (rewritten !== "") builder.add(rewritten, match.index, end);
    }
    return builder.build();
  };
}

/** A rewriting whose parts cannot be told apart: every character stands for the whole. */
function coarse(text: AlignedText, rewritten: string): AlignedText {
  const start = originalStart(text, 0);
  const end = originalEnd(text, text.text.length);
  const starts = new Int32Array(rewritten.length).fill(start);
  return { text: rewritten, base: 0, starts, ends: new Int32Array(rewritten.length).fill(end) };
}

/** A step of a sequence; throws where it is no object with a type. */
export function asComponent(step: unknown): TokenizerComponent {
  if (typeof step === "object" && step !== null && "type" in step && typeof step.type === "string")
    return { ...step, type: step.type };
  throw definitionError("a step of a Sequence has no type");
}
