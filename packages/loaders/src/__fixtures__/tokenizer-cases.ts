import { expect } from "vitest";
import type { Encoding, Tokenizer } from "../tokenizer/tokenizer.ts";

/** One text with what Hugging Face tokenizers makes of it; offsets in UTF-16 units. */
export interface TokenizerCase {
  readonly text: string;
  readonly ids: readonly number[];
  readonly starts: readonly number[];
  readonly ends: readonly number[];
  readonly withSpecialTokens: readonly number[] | null;
  readonly decoded: string;
  readonly decodedSkipping: string;
}

/** Offsets, added special tokens and decoded texts must be those of the reference; the caller compares ids. */
export function expectCase(tokenizer: Tokenizer, golden: TokenizerCase): void {
  const encoding = tokenizer.encode(golden.text);
  expectOrderly(encoding, golden.text);
  expect([...encoding.starts]).toEqual(golden.starts);
  expect([...encoding.ends]).toEqual(golden.ends);
  const special = tokenizer.encode(golden.text, { addSpecialTokens: true });
  expect([...special.ids]).toEqual(golden.withSpecialTokens ?? golden.ids);
  expect(tokenizer.decode(encoding.ids)).toBe(golden.decoded);
  expect(tokenizer.decode(encoding.ids, { skipSpecialTokens: true })).toBe(golden.decodedSkipping);
}

/** Spans lie in the text, do not go back, and cut no character in two. */
export function expectOrderly({ starts, ends }: Encoding, text: string): void {
  const cutsPair = (at: number): boolean => /^[\ud800-\udbff][\udc00-\udfff]$/.test(text.slice(at - 1, at + 1));
  const wrong = starts.findIndex((start, index) => {
    const end = ends[index] ?? 0;
    const inOrder = start >= (starts[index - 1] ?? 0) && end >= Math.max(start, ends[index - 1] ?? 0) && end <= text.length;
    return !inOrder || cutsPair(start) || cutsPair(end);
  });
  expect(wrong, `token ${wrong} has the span ${starts[wrong]} to ${ends[wrong]}`).toBe(-1);
}

/** Every character of the text is in some span. */
export function expectCovered({ starts, ends }: Encoding, text: string): void {
  const gap = starts.findIndex((start, index) => start > (ends[index - 1] ?? 0));
  expect(gap, `there is a gap before token ${gap}`).toBe(-1);
  expect(ends.at(-1) ?? 0).toBe(text.length);
}
