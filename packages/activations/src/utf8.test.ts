import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { firstInvalidUtf8 } from "./utf8.ts";

const decoder = new TextDecoder("utf-8", { fatal: true });

function isValid(bytes: Uint8Array): boolean {
  try {
    decoder.decode(bytes);
    return true;
  } catch {
    return false;
  }
}

describe("firstInvalidUtf8", () => {
  it.each([
    ["a lone continuation byte", [0x61, 0x80], 1],
    ["Latin-1", [0x63, 0x61, 0x66, 0xe9, 0x20], 3],
    ["an overlong slash", [0xc0, 0xaf], 0],
    ["an overlong three-byte form", [0x41, 0xe0, 0x9f, 0xbf], 1],
    ["a surrogate", [0x41, 0x42, 0xed, 0xa0, 0x80], 2],
    ["above U+10FFFF", [0xf4, 0x90, 0x80, 0x80], 0],
    ["a sequence cut short", [0x41, 0xe2, 0x82], 1],
  ])("finds %s", (_, bytes, at) => {
    expect(firstInvalidUtf8(Uint8Array.from(bytes))).toBe(at);
  });

  it("agrees with TextDecoder on any bytes, and everything before the offset is valid", () => {
    const byte = fc.oneof(
      fc.constantFrom(0x41, 0x80, 0xa0, 0xbf, 0xc2, 0xe0, 0xe2, 0xed, 0xf0, 0xf4),
      fc.nat(255),
    );
    fc.assert(
      fc.property(fc.array(byte, { maxLength: 12 }), (values) => {
        const bytes = Uint8Array.from(values);
        const at = firstInvalidUtf8(bytes);
        expect(at < 0).toBe(isValid(bytes));
        if (at >= 0) expect(isValid(bytes.subarray(0, at))).toBe(true);
      }),
      { numRuns: 2000 },
    );
  });

  it("accepts any text", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), (text) => {
        expect(firstInvalidUtf8(new TextEncoder().encode(text))).toBe(-1);
      }),
    );
  });
});
