import { byteTokenizer } from "@latentkit/loaders";
import { fc, test } from "@fast-check/vitest";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { Random } from "@latentkit/core";
import { derangement } from "./choose-examples.ts";
import { readJson } from "./judge.ts";
import { markedText, markersFor, plainText } from "./marked-text.ts";

const tokenizer = byteTokenizer();
const ascii = fc.string({ unit: "grapheme-ascii", maxLength: 40 });

describe("markers", () => {
  test.prop([fc.array(ascii, { maxLength: 5 })])(
    "occur in no text, whatever the texts",
    (texts) => {
      const all = [...texts, "<[}\u27eb\u27e7\u3010\ue001"];
      for (const list of [texts, all]) {
        const { open, close } = markersFor(list);
        for (const text of list) {
          expect(text).not.toContain(open);
          expect(text).not.toContain(close);
        }
      }
    },
  );

  test.prop([ascii, fc.array(fc.boolean(), { minLength: 40, maxLength: 40 })])(
    "stand around the marked tokens and nowhere else",
    (text, marked) => {
      const tokens = tokenizer.encode(text).ids;
      const plain = plainText(tokenizer, tokens);
      const markers = markersFor([plain]);
      const shown = markedText(tokenizer, tokens, (at) => marked[at] === true, markers);
      expect(shown.replaceAll(markers.open, "").replaceAll(markers.close, "")).toBe(plain);
      const inside = shown
        .split(markers.open)
        .slice(1)
        .map((part) => part.slice(0, part.indexOf(markers.close)))
        .join("");
      expect(inside).toBe([...plain].filter((_, at) => marked[at] === true).join(""));
    },
  );

  it("keep an example on one line", () => {
    const { ids } = tokenizer.encode("a\nb");
    expect(plainText(tokenizer, ids)).toBe("a\u21b5b");
  });
});

describe("readJson", () => {
  const bits = z.array(z.union([z.literal(0), z.literal(1)])).length(3, "expected 3 numbers");
  it.each([
    ["[1, 0, 1]", [1, 0, 1]],
    ["First [0, 0, 0]? No.\n```json\n[1, 0, 1]\n```", [1, 0, 1]],
    ["[1,0,1] as said in [1]", [1, 0, 1]],
    ["Counting: [[1, 0, 1], 2]", [1, 0, 1]],
  ])("takes the last value that fits from %j", (text, value) => {
    expect(readJson({ text, finish: "stop" }, bits)).toEqual({ ok: true, value });
  });

  it.each([
    ["I cannot help with that.", "stop", /no JSON/u],
    ["[1, 0]", "stop", /expected 3 numbers/u],
    ["[1, 0, 1", "stop", /no JSON/u],
    ["[1, 0, 1]", "length", /cut off/u],
    ["[".repeat(50_000), "stop", /no JSON/u],
    [`${"[".repeat(20_000)}${"]".repeat(20_000)}`, "stop", /./u],
  ])("says what is wrong with %.30j", (text, finish, problem) => {
    const started = performance.now();
    const found = readJson({ text, finish }, bits);
    expect(found).toMatchObject({ ok: false, problem: expect.stringMatching(problem) as unknown });
    expect(performance.now() - started).toBeLessThan(5000);
  });

  it("reads objects with braces in their text", () => {
    const schema = z.object({ explanation: z.string() });
    const text = 'Sure: {"explanation": "code with {braces} and \\"quotes\\""} .';
    expect(readJson({ text, finish: "stop" }, schema)).toEqual({
      ok: true,
      value: { explanation: 'code with {braces} and "quotes"' },
    });
  });
});

test.prop([fc.integer({ min: 2, max: 30 }), fc.integer()])(
  "a derangement gives everybody somebody else's",
  (count, seed) => {
    const other = derangement(count, new Random(seed));
    expect(new Set(other).size).toBe(count);
    for (const [at, from] of other.entries()) expect(from).not.toBe(at);
  },
);

it("one alone has nobody to exchange with", () => {
  expect(() => derangement(1, new Random(0))).toThrow(
    expect.objectContaining({ code: "JUDGE_NULL" }),
  );
});
