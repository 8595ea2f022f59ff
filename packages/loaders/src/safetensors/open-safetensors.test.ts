import { fc, test } from "@fast-check/vitest";
import { LatentkitError } from "@latentkit/core";
import { describe, expect, it } from "vitest";
import { errorOf, loadBytes, loadJson } from "../__fixtures__/load.ts";
import { bytesSource } from "../byte-source.ts";
import { openSafetensors } from "./open-safetensors.ts";
import type { SafetensorsStore } from "./open-safetensors.ts";

const reference = loadBytes("reference.safetensors");
const open = (bytes: Uint8Array): Promise<SafetensorsStore> =>
  openSafetensors(bytesSource(bytes, "t.safetensors"));

/** A file with this header text and so many bytes of data; the stated header length can be a lie. */
function file(header: string | Uint8Array, dataLength: number, stated?: bigint): Uint8Array {
  const text = typeof header === "string" ? new TextEncoder().encode(header) : header;
  const bytes = new Uint8Array(8 + text.length + dataLength);
  new DataView(bytes.buffer).setBigUint64(0, stated ?? BigInt(text.length), true);
  bytes.set(text, 8);
  return bytes;
}

const tensor = (
  begin: unknown,
  end: unknown,
  shape: unknown = [1],
  dtype: unknown = "F32",
): object => ({ dtype, shape, data_offsets: [begin, end] });
const header = (tensors: object): string => JSON.stringify(tensors);

describe("a file by Hugging Face's writer", () => {
  const golden =
    loadJson<Readonly<Record<string, { shape: readonly number[]; values: readonly string[] }>>>(
      "reference.json",
    );
  const numbers = (values: readonly string[]): number[] =>
    values.map((value) => Number(value.replace("inf", "Infinity")));

  it("has the tensors that were put in", async () => {
    const store = await open(reference);
    const wide = await open(loadBytes("wide.safetensors"));
    expect([...store.names(), ...wide.names()].sort()).toEqual(Object.keys(golden).sort());
    for (const [name, { shape, values }] of Object.entries(golden)) {
      const owner = store.has(name) ? store : wide;
      expect(owner.info(name).shape).toEqual(shape);
      // Python prints the values of the stored dtype as f64; reading gives the nearest f32.
      expect([...(await owner.readFloats(name))], name).toEqual([
        ...Float32Array.from(
          values.map((value) => (value === "True" ? 1 : Number(value.replace("inf", "Infinity")))),
        ),
      ]);
    }
    expect(numbers(["inf", "-inf"])).toEqual([Infinity, -Infinity]);
  });

  it("has its metadata and integers", async () => {
    const store = await open(reference);
    expect(store.metadata).toEqual({ format: "pt" });
    expect([...(await store.readIntegers("i32"))]).toEqual([-(2 ** 31), -1, 0, 2 ** 31 - 1]);
    expect([...(await store.readIntegers("u8"))]).toEqual([0, 1, 255]);
    expect(store.info("scalar")).toEqual({
      name: "scalar",
      shape: [],
      format: "F32",
      byteLength: 4,
    });
    expect(await store.readFloats("nothing")).toHaveLength(0);
  });
});

describe("openSafetensors refuses", () => {
  it.each<readonly [string, Uint8Array, string]>([
    ["an empty file", new Uint8Array(0), "SAFETENSORS_TRUNCATED"],
    ["seven bytes", new Uint8Array(7), "SAFETENSORS_TRUNCATED"],
    ["a header longer than the file", file("{}", 0, 3n), "SAFETENSORS_HEADER_LENGTH"],
    ["a header of 2^53 bytes", file("{}", 0, 2n ** 53n), "SAFETENSORS_HEADER_LENGTH"],
    ["a header of 2^63 bytes", file("{}", 0, 2n ** 63n), "SAFETENSORS_HEADER_LENGTH"],
    ["a header of 2^64 - 1 bytes", file("{}", 0, 2n ** 64n - 1n), "SAFETENSORS_HEADER_LENGTH"],
    ["a header of no bytes", file("", 0), "SAFETENSORS_HEADER"],
    ["a header that is no JSON", file("{'a': 1}", 0), "SAFETENSORS_HEADER"],
    ["a header that ends early", file('{"a":', 0), "SAFETENSORS_HEADER"],
    [
      "a header that is no UTF-8",
      file(Uint8Array.of(0x7b, 0x22, 0xff, 0x22, 0x7d), 0),
      "SAFETENSORS_HEADER",
    ],
    ["a header that is a list", file("[]", 0), "SAFETENSORS_HEADER"],
    ["a header that is null", file("null", 0), "SAFETENSORS_HEADER"],
    [
      "metadata that is not text",
      file(header({ __metadata__: { a: 1 } }), 0),
      "SAFETENSORS_HEADER",
    ],
    [
      "a name that is there twice",
      file(
        '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
        4,
      ),
      "SAFETENSORS_HEADER",
    ],
    [
      "a name that is there twice in another spelling",
      file(
        '{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"\\u0061":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}',
        0,
      ),
      "SAFETENSORS_HEADER",
    ],
    [
      "a field that is there twice",
      file('{"a":{"dtype":"U8","shape":[0],"shape":[0],"data_offsets":[0,0]}}', 0),
      "SAFETENSORS_HEADER",
    ],
    ["a tensor that is a number", file(header({ a: 1 }), 0), "SAFETENSORS_TENSOR"],
    [
      "a tensor without a shape",
      file(header({ a: { dtype: "F32", data_offsets: [0, 4] } }), 4),
      "SAFETENSORS_TENSOR",
    ],
    [
      "a field that is unknown",
      file(header({ a: { ...tensor(0, 4), strides: [1] } }), 4),
      "SAFETENSORS_TENSOR",
    ],
    ["an unknown dtype", file(header({ a: tensor(0, 4, [1], "F128") }), 4), "SAFETENSORS_TENSOR"],
    [
      "a dtype in small letters",
      file(header({ a: tensor(0, 4, [1], "f32") }), 4),
      "SAFETENSORS_TENSOR",
    ],
    ["a negative axis", file(header({ a: tensor(0, 4, [-1]) }), 4), "SAFETENSORS_TENSOR"],
    ["two negative axes", file(header({ a: tensor(0, 4, [-1, -1]) }), 4), "SAFETENSORS_TENSOR"],
    ["half an axis", file(header({ a: tensor(0, 4, [0.5, 2]) }), 4), "SAFETENSORS_TENSOR"],
    ["an axis of 2^53", file(header({ a: tensor(0, 4, [2 ** 53]) }), 4), "SAFETENSORS_TENSOR"],
    [
      "axes that multiply above 2^53",
      file(header({ a: tensor(0, 4, [2 ** 30, 2 ** 30]) }), 4),
      "SAFETENSORS_TENSOR",
    ],
    [
      "axes that multiply above 2^1024",
      file(
        header({
          a: tensor(
            0,
            4,
            Array.from({ length: 40 }, () => 2 ** 52),
          ),
        }),
        4,
      ),
      "SAFETENSORS_TENSOR",
    ],
    [
      "a size that is not that of shape and dtype",
      file(header({ a: tensor(0, 8) }), 8),
      "SAFETENSORS_TENSOR",
    ],
    ["offsets that are text", file(header({ a: tensor("0", "4") }), 4), "SAFETENSORS_TENSOR"],
    [
      "three offsets",
      file(header({ a: { dtype: "F32", shape: [1], data_offsets: [0, 4, 8] } }), 8),
      "SAFETENSORS_TENSOR",
    ],
    ["a negative offset", file(header({ a: tensor(-4, 0) }), 4), "SAFETENSORS_TENSOR"],
    [
      "offsets above 2^53",
      file(header({ a: tensor(2 ** 53, 2 ** 53 + 4) }), 4),
      "SAFETENSORS_TENSOR",
    ],
    ["offsets out of order", file(header({ a: tensor(4, 0) }), 4), "SAFETENSORS_OFFSETS"],
    ["a tensor beyond the file", file(header({ a: tensor(4, 8) }), 4), "SAFETENSORS_OFFSETS"],
    [
      "tensors that overlap",
      file(header({ a: tensor(0, 8, [2]), b: tensor(4, 12, [2]) }), 12),
      "SAFETENSORS_OFFSETS",
    ],
    [
      "two tensors in one place",
      file(header({ a: tensor(0, 4), b: tensor(0, 4) }), 4),
      "SAFETENSORS_OFFSETS",
    ],
    [
      "a hole between tensors",
      file(header({ a: tensor(0, 4), b: tensor(8, 12) }), 12),
      "SAFETENSORS_OFFSETS",
    ],
    ["a hole at the start", file(header({ a: tensor(4, 8) }), 8), "SAFETENSORS_OFFSETS"],
    ["data after the last tensor", file(header({ a: tensor(0, 4) }), 5), "SAFETENSORS_OFFSETS"],
    ["data without tensors", file("{}", 1), "SAFETENSORS_OFFSETS"],
  ])("%s", async (_name, bytes, code) => {
    expect(await errorOf(() => open(bytes))).toMatchObject({
      code,
      where: "t.safetensors",
      name: "FormatError",
    });
  });

  it("every proper prefix of a good file", async () => {
    for (let length = 0; length < reference.length; length++) {
      expect(await errorOf(() => open(reference.subarray(0, length)))).toMatchObject({
        name: "FormatError",
      });
    }
  });
});

it("takes tensors in any order, and an empty file of tensors", async () => {
  const store = await open(
    file(header({ b: tensor(4, 8), a: tensor(0, 4), none: tensor(4, 4, [0]) }), 8),
  );
  expect(store.names()).toEqual(["a", "b", "none"]);
  expect((await open(file("{}   ", 0))).names()).toEqual([]);
});

it("takes names that are special in JavaScript", async () => {
  const names = ["__proto__", "constructor", "toString"];
  const parts = names.map(
    (name, index) => `"${name}":{"dtype":"U8","shape":[1],"data_offsets":[${index},${index + 1}]}`,
  );
  const store = await open(file(`{"__metadata__":{"__proto__":"text"},${parts.join(",")}}`, 3));
  expect(Object.entries(store.metadata)).toEqual([["__proto__", "text"]]);
  expect(store.names()).toEqual([...names].sort());
  expect(store.has("hasOwnProperty")).toBe(false);
});

const flips = fc.array(
  fc.tuple(fc.nat({ max: reference.length - 1 }), fc.integer({ min: 1, max: 255 })),
  { minLength: 1, maxLength: 8 },
);
test.prop([flips], { numRuns: 500 })(
  "flipped bytes give a Latentkit error or tensors that can be read",
  async (changes) => {
    const bytes = reference.slice();
    for (const [at, mask] of changes) bytes[at] = (bytes[at] ?? 0) ^ mask;
    try {
      const store = await open(bytes);
      for (const name of store.names()) await store.readBytes(name);
    } catch (error) {
      expect(LatentkitError.isInstance(error)).toBe(true);
    }
  },
);
