import { fc, test } from "@fast-check/vitest";
import { expect } from "vitest";
import { crc32 } from "./crc32.ts";

/** Bit by bit, as the polynomial says. */
function slow(bytes: Uint8Array): number {
  let value = 0xffff_ffff;
  for (const byte of bytes) {
    value ^= byte;
    for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb8_8320 : value >>> 1;
  }
  return (value ^ 0xffff_ffff) >>> 0;
}

test.prop([fc.uint8Array({ maxLength: 100 })])(
  "is the bit-by-bit checksum at any length",
  (bytes) => {
    expect(crc32(bytes)).toBe(slow(bytes));
  },
);
