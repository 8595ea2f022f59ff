import { fc, test } from "@fast-check/vitest";
import { expect, it } from "vitest";
import { PairMerger } from "./pair-merger.ts";

/** The definition, word for word: find the best pair, merge its leftmost occurrence, begin again. */
function mergeSlowly(text: string, merges: readonly (readonly [string, string])[]): string[] {
  const symbols = Array.from(text);
  const ranks = new Map(merges.map(([left, right], rank) => [`${left} ${right}`, rank]));
  for (;;) {
    let best = Infinity;
    let at = -1;
    for (let i = 0; i + 1 < symbols.length; i++) {
      const rank = ranks.get(`${symbols[i]} ${symbols[i + 1]}`) ?? Infinity;
      if (rank < best) [best, at] = [rank, i];
    }
    if (at === -1) return symbols;
    symbols.splice(at, 2, `${symbols[at]}${symbols[at + 1]}`);
  }
}

function pieces(text: string, ends: readonly number[]): string[] {
  return ends.map((end, index) => text.slice(ends[index - 1] ?? 0, end));
}

const symbol = fc.string({
  unit: fc.constantFrom("a", "b", "c", "🙂"),
  minLength: 1,
  maxLength: 4,
});
const merges = fc.uniqueArray(fc.tuple(symbol, symbol), {
  selector: ([left, right]) => `${left} ${right}`,
  maxLength: 30,
});
const text = fc.string({ unit: fc.constantFrom("a", "b", "c", "🙂", "z"), maxLength: 40 });

test.prop([text, merges], { numRuns: 3000 })("merges as the definition says", (input, list) => {
  expect(pieces(input, new PairMerger(list).merge(input))).toEqual(mergeSlowly(input, list));
});

it("takes the leftmost of equal pairs", () => {
  const merger = new PairMerger([["a", "a"]]);
  expect(pieces("aaaaa", merger.merge("aaaaa"))).toEqual(["aa", "aa", "a"]);
  expect(merger.merge("")).toEqual([]);
});

it("is quick on a long run", () => {
  const doubling = Array.from(
    { length: 10 },
    (_, power) => [" ".repeat(2 ** power), " ".repeat(2 ** power)] as const,
  );
  const input = " ".repeat(300_000);
  const start = performance.now();
  const ends = new PairMerger(doubling).merge(input);
  expect(ends.slice(0, 3)).toEqual([1024, 2048, 3072]);
  expect(performance.now() - start).toBeLessThan(10_000);
});
