import { sliceAligned } from "./aligned-text.ts";
import type { AlignedText } from "./aligned-text.ts";

/** What becomes of the stretches that a pattern matches, in the words of the reference implementation. */
export type SplitBehavior =
  | "Removed"
  | "Isolated"
  | "MergedWithPrevious"
  | "MergedWithNext"
  | "Contiguous";

interface Span {
  from: number;
  to: number;
  readonly matched: boolean;
}

/** Cuts a text at what `pattern` (flags `gu`) matches; `invert` swaps what is matched and what is not. */
export function splitText(
  aligned: AlignedText,
  pattern: RegExp,
  behavior: SplitBehavior,
  invert = false,
): AlignedText[] {
  const { text } = aligned;
  if (text === "") return [];
  const spans = findSpans(text, pattern, invert);
  if (spans.length === 1 && (behavior !== "Removed" || spans[0]?.matched === false))
    return [aligned];
  return arrange(spans, behavior).map(({ from, to }) => sliceAligned(aligned, from, to));
}

function findSpans(text: string, pattern: RegExp, invert: boolean): Span[] {
  const spans: Span[] = [];
  let reached = 0;
  pattern.lastIndex = 0;
  for (let match = pattern.exec(text); match !== null; match = pattern.exec(text)) {
    const { length } = match[0];
    if (length === 0) {
      pattern.lastIndex += 1;
      continue;
    }
    if (match.index > reached) spans.push({ from: reached, to: match.index, matched: invert });
    reached = match.index + length;
    spans.push({ from: match.index, to: reached, matched: !invert });
  }
  if (reached < text.length) spans.push({ from: reached, to: text.length, matched: invert });
  return spans;
}

function arrange(spans: readonly Span[], behavior: SplitBehavior): readonly Span[] {
  switch (behavior) {
    case "Removed":
      return spans.filter(({ matched }) => !matched);
    case "Isolated":
      return spans;
    case "MergedWithPrevious":
      return merge(spans, (before, span) => span.matched && !before.matched);
    case "MergedWithNext":
      return merge(spans, (before, span) => before.matched && !span.matched);
    case "Contiguous":
      return merge(spans, (before, span) => before.matched === span.matched);
    default:
      return behavior satisfies never;
  }
}

/** Joins neighbours; a span that took its neighbour in counts as what the later of the two was. */
function merge(spans: readonly Span[], joins: (before: Span, span: Span) => boolean): Span[] {
  const merged: Span[] = [];
  let before: Span | undefined;
  for (const span of spans) {
    const last = merged.at(-1);
    if (before !== undefined && last !== undefined && joins(before, span)) last.to = span.to;
    else merged.push({ ...span });
    before = span;
  }
  return merged;
}
