import { fc, test } from "@fast-check/vitest";
import { describe, expect, it } from "vitest";
import { errorOf } from "../__fixtures__/load.ts";
import { makeUnigramEncoder } from "./unigram-model.ts";

type Entry = readonly [token: string, score: number];

/** The best sum of scores over all ways to cut a text, found by trying each of them. */
function bestSum(text: string, entries: readonly Entry[], unknown: number): number {
  if (text === "") return 0;
  const scores = Array.from({ length: text.length }, (_, at) => {
    const length = at + 1;
    const found = entries.findLast(([token]) => token === text.slice(0, length))?.[1];
    const score = found ?? (length === 1 ? unknown : undefined);
    return score === undefined ? -Infinity : score + bestSum(text.slice(length), entries, unknown);
  });
  return Math.max(...scores);
}

const tokens = fc.uniqueArray(
  fc.string({ unit: fc.constantFrom("a", "b", "c"), minLength: 1, maxLength: 4 }),
  {
    minLength: 1,
    maxLength: 12,
  },
);
const entries = tokens.chain((names) =>
  fc.tuple(
    ...names.map((name) => fc.integer({ min: -200, max: -1 }).map((n): Entry => [name, n / 8])),
  ),
);

describe("the Unigram encoder", () => {
  test.prop([entries, fc.string({ unit: fc.constantFrom("a", "b", "c", "x"), maxLength: 8 })], {
    numRuns: 300,
  })("finds the cut whose scores sum highest", (list, text) => {
    const all: readonly Entry[] = [["<unk>", 0], ...list];
    const encode = makeUnigramEncoder({ type: "Unigram", unk_id: 0, vocab: all });
    const unknown = Math.min(...all.map(([, score]) => score)) - 10;
    const { ids, starts, ends } = encode(text);
    // Unknown neighbours are one token, of which every character counts.
    const sum = ids.reduce<number>((total, id, index) => {
      const width = (ends[index] ?? 0) - (starts[index] ?? 0);
      return total + (id === 0 ? width * unknown : (all[id]?.[1] ?? Number.NaN));
    }, 0);
    expect(sum).toBe(bestSum(text, all, unknown));
    expect(ids.map((_, index) => text.slice(starts[index], ends[index])).join("")).toBe(text);
  });

  it("takes the first of equals, and spells what is unknown in bytes where it has all of them", () => {
    const vocab: readonly Entry[] = [
      ["<unk>", 0],
      ["a", -1],
      ["aa", -2],
      ["<0xC3>", 0],
      ["<0xA9>", 0],
    ];
    const encode = makeUnigramEncoder({ type: "Unigram", unk_id: 0, vocab, byte_fallback: true });
    expect(encode("aa").ids).toEqual([2]);
    expect(encode("aéa")).toEqual({ ids: [1, 3, 4, 1], starts: [0, 1, 1, 2], ends: [1, 2, 2, 3] });
    expect(encode("aüüa")).toEqual({ ids: [1, 0, 1], starts: [0, 1, 3], ends: [1, 3, 4] });
  });

  it("refuses what it has no token for where there is no unknown token", async () => {
    const encode = makeUnigramEncoder({ type: "Unigram", unk_id: null, vocab: [["a", -1]] });
    expect(encode("aa").ids).toEqual([0, 0]);
    expect(await errorOf(() => encode("ab"))).toMatchObject({ code: "TOKENIZER_JSON" });
  });
});
