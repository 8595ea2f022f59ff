import { describe, expect, it } from "vitest";
import { errorOf, loadBytes } from "./__fixtures__/load.ts";
import { bytesSource } from "./byte-source.ts";
import { decodeFloats, decodeIntegers } from "./decode-elements.ts";
import { openSafetensors } from "./safetensors/open-safetensors.ts";
import type { StorageFormat } from "./storage-format.ts";

const goldens = openSafetensors(bytesSource(loadBytes("blocks.safetensors"), "blocks.safetensors"));

/** Bit for bit, but any NaN is as good as another. */
function bits(values: Float32Array): number[] {
  return Array.from(
    new Uint32Array(values.buffer, values.byteOffset, values.length),
    (word, index) => (Number.isNaN(values[index]) ? -1 : word),
  );
}

describe("decodeFloats", () => {
  it.each([
    "Q8_0",
    "Q4_0",
    "Q4_1",
    "Q5_0",
    "Q5_1",
    "F16",
    "BF16",
    "Q2_K",
    "Q3_K",
    "Q4_K",
    "Q5_K",
    "Q6_K",
    "Q8_K",
  ] as StorageFormat[])("%s is what gguf-py gives, bit for bit, at edges too", async (format) => {
    const store = await goldens;
    const expected = await store.readFloats(`${format}.values`);
    const bytes = await store.readBytes(`${format}.bytes`);
    const decoded = decodeFloats(bytes, format, expected.length, "golden");
    expect(decoded).toHaveLength(expected.length);
    expect(bits(decoded)).toEqual(bits(expected));
    expect(expected.some((value) => Math.abs(value) > 0 && Math.abs(value) < 2 ** -14)).toBe(true);
    expect(expected.some(Number.isNaN)).toBe(true);
  });

  it("reads from an odd offset of a larger buffer", () => {
    const stored = Float32Array.of(1.5, -2, 3.25);
    const buffer = new Uint8Array(13);
    buffer.set(new Uint8Array(stored.buffer), 1);
    expect(decodeFloats(buffer.subarray(1), "F32", 3, "t")).toEqual(stored);
    const halves = Uint8Array.of(9, 0x00, 0x3c, 0x00, 0xc0);
    expect([...decodeFloats(halves.subarray(1), "F16", 2, "t")]).toEqual([1, -2]);
    expect([...decodeFloats(Uint8Array.of(9, 0x80, 0x3f).subarray(1), "BF16", 1, "t")]).toEqual([
      1,
    ]);
  });

  it("names the formats it can read when it cannot", async () => {
    const error = await errorOf(() =>
      decodeFloats(new Uint8Array(136), "IQ4_XS", 256, 'x.gguf, tensor "a"'),
    );
    expect(error).toMatchObject({ code: "FORMAT_NOT_DECODED", where: 'x.gguf, tensor "a"' });
    expect(error.message).toContain("IQ4_XS");
    expect(error.message).toContain("Q5_K");
  });
});

describe("decodeIntegers", () => {
  const bytesOf = (array: { buffer: ArrayBuffer }): Uint8Array<ArrayBuffer> =>
    new Uint8Array(array.buffer);

  it("widens and narrows what fits 32 bits", () => {
    expect([...decodeIntegers(bytesOf(Int32Array.of(-5, 7)), "I32", "t")]).toEqual([-5, 7]);
    expect([
      ...decodeIntegers(bytesOf(BigInt64Array.of(-(2n ** 31n), 2n ** 31n - 1n)), "I64", "t"),
    ]).toEqual([-(2 ** 31), 2 ** 31 - 1]);
    expect([...decodeIntegers(bytesOf(Int16Array.of(-3)), "I16", "t")]).toEqual([-3]);
    expect([...decodeIntegers(Uint8Array.of(255), "I8", "t")]).toEqual([-1]);
    expect([...decodeIntegers(Uint8Array.of(255), "U8", "t")]).toEqual([255]);
    expect([...decodeIntegers(bytesOf(Uint16Array.of(65535)), "U16", "t")]).toEqual([65535]);
  });

  it("refuses floats and what does not fit", async () => {
    expect(await errorOf(() => decodeIntegers(new Uint8Array(4), "F32", "t"))).toMatchObject({
      code: "FORMAT_NOT_INTEGERS",
    });
    expect(
      await errorOf(() => decodeIntegers(bytesOf(BigInt64Array.of(2n ** 31n)), "I64", "t")),
    ).toMatchObject({ code: "INTEGER_TOO_LARGE" });
    expect(
      await errorOf(() => decodeIntegers(bytesOf(Uint32Array.of(2 ** 31)), "U32", "t")),
    ).toMatchObject({ code: "INTEGER_TOO_LARGE" });
  });
});
