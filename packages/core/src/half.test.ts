import { describe, expect, it } from "vitest";
import { fromBf16Bits, fromF16Bits, toBf16Bits, toF16Bits } from "./half.ts";

const patterns = Array.from({ length: 65536 }, (_, index) => index);
const positives = patterns.slice(0, 32768);

/** The value that IEEE 754 gives a 16-bit pattern, by its definition. */
function defined(pattern: number, exponentBits: number, mantissaBits: number): number {
  const sign = pattern >>> 15 === 0 ? 1 : -1;
  const exponent = (pattern & 0x7fff) >>> mantissaBits;
  const fraction = (pattern & ((1 << mantissaBits) - 1)) / 2 ** mantissaBits;
  const bias = 2 ** (exponentBits - 1) - 1;
  if (exponent === 2 ** exponentBits - 1)
    return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return exponent === 0
    ? sign * fraction * 2 ** (1 - bias)
    : sign * (1 + fraction) * 2 ** (exponent - bias);
}

describe.each([
  {
    name: "f16",
    exponentBits: 5,
    mantissaBits: 10,
    read: fromF16Bits,
    write: toF16Bits,
    largest: 65504,
    quiet: 0x200,
  },
  {
    name: "bf16",
    exponentBits: 8,
    mantissaBits: 7,
    read: fromBf16Bits,
    write: toBf16Bits,
    largest: 2 ** 127 * (2 - 2 ** -7),
    quiet: 0x40,
  },
])("$name", ({ exponentBits, mantissaBits, read, write, largest, quiet }) => {
  it("reads all 65536 patterns as IEEE 754 defines them", () => {
    const wrong = patterns.filter(
      (pattern) => !Object.is(read(pattern), defined(pattern, exponentBits, mantissaBits)),
    );
    expect(wrong).toEqual([]);
  });

  it("writes every value back to its pattern; NaN stays a quiet NaN of the same sign", () => {
    const wrong = patterns.filter(
      (pattern) => !Number.isNaN(read(pattern)) && write(read(pattern)) !== pattern,
    );
    expect(wrong).toEqual([]);
    const nan = write(Number.NaN);
    expect(read(nan)).toBeNaN();
    expect(nan & quiet).toBe(quiet);
  });

  it("rounds to nearest, ties to even, between all neighbours", () => {
    const wrong = positives.filter((pattern) => {
      const [low, high] = [read(pattern), read(pattern + 1)];
      if (!Number.isFinite(low) || !Number.isFinite(high)) return false;
      const middle = (low + high) / 2;
      const even = pattern % 2 === 0 ? pattern : pattern + 1;
      // The two formats' midpoints are f32 values; the next f32 values to either side lie a relative 2^-24 to 2^-23 away.
      const [below, above] = [nextF32(middle, -1), nextF32(middle, 1)];
      return (
        write(middle) !== even ||
        write(below) !== pattern ||
        write(above) !== pattern + 1 ||
        write(-middle) !== (even | 0x8000) ||
        write(-below) !== (pattern | 0x8000) ||
        write(-above) !== ((pattern + 1) | 0x8000)
      );
    });
    expect(wrong).toEqual([]);
  });

  it("overflows to infinity from half a step above the largest value", () => {
    const step = largest - read(write(largest) - 1);
    expect(read(write(largest))).toBe(largest);
    expect(read(write(nextF32(largest + step / 2, -1)))).toBe(largest);
    expect(read(write(largest + step / 2))).toBe(Number.POSITIVE_INFINITY);
    expect(read(write(-largest - step / 2))).toBe(Number.NEGATIVE_INFINITY);
    expect(read(write(Number.POSITIVE_INFINITY))).toBe(Number.POSITIVE_INFINITY);
  });

  it("keeps the sign of zero, and of what underflows to it", () => {
    expect(read(write(-0))).toBe(-0);
    expect(read(write(0))).toBe(0);
    expect(read(write(-1e-45))).toBe(-0);
  });
});

const float = new Float32Array(1);
const bits = new Int32Array(float.buffer);

/** The next f32 value up or down from a positive one. */
function nextF32(value: number, direction: 1 | -1): number {
  float[0] = value;
  bits[0] = (bits[0] ?? 0) + direction;
  return float[0] ?? Number.NaN;
}
