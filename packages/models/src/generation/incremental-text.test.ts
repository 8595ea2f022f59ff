import { fc, test } from "@fast-check/vitest";
import { describe, expect, it } from "vitest";
import { byteTokenizer } from "../__fixtures__/support.ts";
import { IncrementalText } from "./incremental-text.ts";

const tokenizer = byteTokenizer();

describe("IncrementalText", () => {
  it("holds part of a character back until the rest comes", () => {
    const text = new IncrementalText(tokenizer);
    const pieces = [...tokenizer.encode("aé😀!").ids].map((id) => text.push(id));
    expect(pieces).toEqual(["a", "", "é", "", "", "", "😀", "!"]);
    expect(text.flush()).toBe("");
  });

  it("shows a character that was never completed at the end", () => {
    const text = new IncrementalText(tokenizer);
    expect(text.push(0xf0)).toBe("");
    expect(text.push(0x9f)).toBe("");
    expect(text.flush()).toBe("\uFFFD");
  });

  it("goes on after bytes that are no character", () => {
    const text = new IncrementalText(tokenizer);
    expect([0x61, 0xff, 0x62].map((id) => text.push(id))).toEqual(["a", "", "\uFFFDb"]);
  });

  test.prop([fc.string({ unit: "binary", maxLength: 40 })])(
    "pieces add up to the text and none ends inside a character",
    (given) => {
      // A lone surrogate has no UTF-8 form; the encoder writes U+FFFD for it, and so is the text then.
      const whole = tokenizer.decode(tokenizer.encode(given).ids);
      const text = new IncrementalText(tokenizer);
      const pieces = [...tokenizer.encode(whole).ids].map((id) => text.push(id));
      pieces.push(text.flush());
      expect(pieces.join("")).toBe(whole);
      for (const piece of pieces) expect(piece).not.toMatch(/\p{Surrogate}/u);
    },
  );
});
