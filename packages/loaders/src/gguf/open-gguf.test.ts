import { fc, test } from "@fast-check/vitest";
import { LatentkitError } from "@latentkit/core";
import { describe, expect, it } from "vitest";
import { errorOf, loadBytes, loadJson } from "../__fixtures__/load.ts";
import { tinyLlamaFile } from "../__fixtures__/tiny-llama.ts";
import { floatBytes, valueTypes, writeGguf } from "../__fixtures__/write-gguf.ts";
import type { ByteWriter, GgufTensorToWrite, GgufToWrite } from "../__fixtures__/write-gguf.ts";
import { bytesSource } from "../byte-source.ts";
import type { ByteSource } from "../byte-source.ts";
import { tokenizerFromGguf } from "../tokenizer/tokenizer-from-gguf.ts";
import { llamaFromGguf } from "./llama.ts";
import { openGguf } from "./open-gguf.ts";
import type { GgufStore } from "./open-gguf.ts";

const everyType = loadBytes("every-type.gguf");
const open = (bytes: Uint8Array): Promise<GgufStore> => openGguf(bytesSource(bytes, "t.gguf"));
const one = (changes: Partial<GgufTensorToWrite> = {}): GgufTensorToWrite => ({
  name: "a",
  shape: [2],
  type: 0,
  bytes: floatBytes([1, 2]),
  ...changes,
});
const file = (changes: Partial<GgufToWrite> = {}): Uint8Array =>
  writeGguf({ metadata: [], tensors: [one()], ...changes });
const value = (write: (writer: ByteWriter) => void): Uint8Array =>
  file({ metadata: [["k", write]] });

describe("a file by gguf-py", () => {
  it("has every type of metadata value", async () => {
    const { metadata, version } = await open(everyType);
    expect(version).toBe(3);
    expect(Object.fromEntries([...metadata].filter(([key]) => key.startsWith("test.")))).toEqual({
      "test.u8": 255,
      "test.i8": -128,
      "test.u16": 65535,
      "test.i16": -32768,
      "test.u32": 4294967295,
      "test.i32": -2147483648,
      "test.f32": Math.fround(0.1),
      "test.true": true,
      "test.false": false,
      "test.string": "naïve 👩‍👧 \ufeff日本",
      "test.u64": 2n ** 64n - 1n,
      "test.i64": -(2n ** 63n),
      "test.small-u64": 12345,
      "test.f64": 0.1,
      "test.strings": ["a", "", "ü"],
      "test.integers": [1, -2, 3],
      "test.floats": [0.5, -1.25],
      "test.booleans": [true, false],
      "test.nested": [[1, 2], [3]],
    });
  });

  it("has every format of tensor that we decode", async () => {
    const store = await open(everyType);
    const golden =
      loadJson<Readonly<Record<string, { shape: number[]; format: string; values: number[] }>>>(
        "every-type.json",
      );
    expect(store.names()).toEqual(Object.keys(golden).sort());
    for (const [name, { shape, format, values }] of Object.entries(golden)) {
      expect(store.info(name)).toMatchObject({ name, shape, format });
      expect([...(await store.readFloats(name))], name).toEqual(values);
    }
    expect([...(await store.readIntegers("i32"))]).toEqual([
      -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6,
    ]);
  });
});

describe("openGguf", () => {
  it("reads version 2, another alignment and a scalar", async () => {
    const tensors = [
      one({ shape: [], bytes: floatBytes([7]) }),
      one({ name: "b", bytes: floatBytes([8, 9]) }),
    ];
    const store = await open(
      writeGguf({ version: 2, metadata: [["general.alignment", 64]], tensors, alignment: 64 }),
    );
    expect(store.version).toBe(2);
    expect([...(await store.readFloats("a"))]).toEqual([7]);
    expect([...(await store.readFloats("b"))]).toEqual([8, 9]);
  });

  it("opens files with formats it cannot decode, and says so when they are read", async () => {
    const store = await open(
      file({ tensors: [one({ shape: [256], type: 23, bytes: new Uint8Array(136) })] }),
    );
    expect(store.info("a")).toMatchObject({ format: "IQ4_XS", byteLength: 136 });
    expect(await store.readBytes("a")).toHaveLength(136);
    expect(await errorOf(() => store.readFloats("a"))).toMatchObject({
      code: "FORMAT_NOT_DECODED",
    });
  });

  it("reads on where the header is longer than its first window", async () => {
    const long = Array.from(
      { length: 300_000 },
      (_, index) => `a token of some length, number ${index}`,
    );
    const bytes = file({ metadata: [["tokens", long]] });
    const reads: number[] = [];
    const inner = bytesSource(bytes, "t");
    const source: ByteSource = {
      ...inner,
      read: (offset, length) => (reads.push(length), inner.read(offset, length)),
    };
    expect((await openGguf(source)).metadata.get("tokens")).toEqual(long);
    expect(reads).toEqual([2 ** 23, bytes.length]);
  });
});

describe("openGguf refuses", () => {
  it.each<readonly [string, Uint8Array, string]>([
    ["an empty file", new Uint8Array(0), "GGUF_TRUNCATED"],
    ["another magic number", file({ magic: "GGML" }), "GGUF_MAGIC"],
    ["version 0", file({ version: 0 }), "GGUF_VERSION"],
    ["version 1", file({ version: 1 }), "GGUF_VERSION"],
    ["version 99", file({ version: 99 }), "GGUF_VERSION"],
    ["big-endian files", file({ version: 0x03000000 }), "GGUF_BIG_ENDIAN"],
    ["2^53 tensors", file({ tensorCount: 2n ** 53n }), "GGUF_COUNT"],
    ["2^64 - 1 tensors", file({ tensorCount: 2n ** 64n - 1n }), "GGUF_COUNT"],
    [
      "one tensor more than there are",
      file({ tensorCount: 2n, tensors: [one({ bytes: new Uint8Array(8) })] }),
      "GGUF_TRUNCATED",
    ],
    ["2^53 metadata values", file({ valueCount: 2n ** 53n }), "GGUF_COUNT"],
    [
      "a string of 2^53 bytes",
      value((w) => w.u32(valueTypes.string).string("x", 2n ** 53n)),
      "GGUF_COUNT",
    ],
    [
      "a string of 2^63 bytes",
      value((w) => w.u32(valueTypes.string).string("x", 2n ** 63n)),
      "GGUF_COUNT",
    ],
    [
      "a string that is no UTF-8",
      value((w) => w.u32(valueTypes.string).u64(2).raw([0xc3, 0x28])),
      "GGUF_STRING",
    ],
    [
      "a list of 2^53 numbers",
      value((w) =>
        w
          .u32(valueTypes.array)
          .u32(valueTypes.u8)
          .u64(2n ** 53n),
      ),
      "GGUF_COUNT",
    ],
    [
      "a list of 2^63 strings",
      value((w) =>
        w
          .u32(valueTypes.array)
          .u32(valueTypes.string)
          .u64(2n ** 63n),
      ),
      "GGUF_COUNT",
    ],
    [
      "a list of an unknown type",
      value((w) => w.u32(valueTypes.array).u32(77).u64(1)),
      "GGUF_VALUE_TYPE",
    ],
    ["a value of an unknown type", value((w) => w.u32(13).u32(0)), "GGUF_VALUE_TYPE"],
    ["a boolean of 2", value((w) => w.u32(valueTypes.bool).raw([2])), "GGUF_BOOLEAN"],
    [
      "lists in lists in lists without end",
      value((w) => {
        w.u32(valueTypes.array);
        for (let i = 0; i < 20; i++) w.u32(valueTypes.array).u64(1);
        w.u32(0).u64(0);
      }),
      "GGUF_NESTING",
    ],
    [
      "a key that is there twice",
      file({
        metadata: [
          ["k", 1],
          ["k", 2],
        ],
      }),
      "GGUF_DUPLICATE_KEY",
    ],
    ["a tensor that is there twice", file({ tensors: [one(), one()] }), "GGUF_DUPLICATE_TENSOR"],
    ["five axes", file({ tensors: [one({ shape: [1, 1, 1, 1, 2] })] }), "GGUF_AXES"],
    ["an unknown ggml type", file({ tensors: [one({ type: 4 })] }), "GGUF_TENSOR_TYPE"],
    ["ggml type 2^32 - 1", file({ tensors: [one({ type: 2 ** 32 - 1 })] }), "GGUF_TENSOR_TYPE"],
    [
      "rows that are no whole blocks",
      file({ tensors: [one({ shape: [2, 33], type: 8, bytes: new Uint8Array(68) })] }),
      "GGUF_BLOCKS",
    ],
    [
      "an axis of 2^64 - 1",
      file({ tensors: [one({ shape: [2n ** 64n - 1n] })] }),
      "GGUF_TENSOR_SIZE",
    ],
    [
      "axes that multiply above 2^53",
      file({ tensors: [one({ shape: [2 ** 30, 2 ** 30] })] }),
      "GGUF_TENSOR_SIZE",
    ],
    [
      "a tensor that is larger than the file",
      file({ tensors: [one({ shape: [2 ** 40] })] }),
      "GGUF_TRUNCATED",
    ],
    ["an offset of 2^53", file({ tensors: [one({ offset: 2n ** 53n })] }), "GGUF_TENSOR_SIZE"],
    ["an offset beyond the file", file({ tensors: [one({ offset: 2 ** 40 })] }), "GGUF_TRUNCATED"],
    ["an offset that is not aligned", file({ tensors: [one({ offset: 4 })] }), "GGUF_OFFSETS"],
    [
      "tensors that overlap",
      file({
        tensors: [one({ shape: [16], bytes: new Uint8Array(64) }), one({ name: "b", offset: 32 })],
      }),
      "GGUF_OFFSETS",
    ],
    [
      "two tensors in one place",
      file({ tensors: [one(), one({ name: "b", offset: 0 })] }),
      "GGUF_OFFSETS",
    ],
    ["an alignment of 0", file({ metadata: [["general.alignment", 0]] }), "GGUF_ALIGNMENT"],
    ["an alignment of 24", file({ metadata: [["general.alignment", 24]] }), "GGUF_ALIGNMENT"],
    ["an alignment in words", file({ metadata: [["general.alignment", "32"]] }), "GGUF_ALIGNMENT"],
  ])("%s", async (_name, bytes, code) => {
    expect(await errorOf(() => open(bytes))).toMatchObject({
      code,
      where: "t.gguf",
      name: "FormatError",
    });
  });

  it.each([
    // gguf-py pads the end of the file, which no reader needs.
    ["by gguf-py", everyType.subarray(0, -16)],
    ["of a model", tinyLlamaFile()],
  ])("every proper prefix of a good file %s", async (_name, bytes) => {
    await open(bytes);
    for (let length = 0; length < bytes.length; length++) {
      expect(await errorOf(() => open(bytes.subarray(0, length)))).toMatchObject({
        name: "FormatError",
      });
    }
  });
});

describe("flipped bytes", () => {
  const files = [everyType, tinyLlamaFile()];
  const flips = fc.array(fc.tuple(fc.nat({ max: 2 ** 20 }), fc.integer({ min: 1, max: 255 })), {
    minLength: 1,
    maxLength: 6,
  });

  test.prop([fc.constantFrom(...files), fc.boolean(), flips], { numRuns: 600 })(
    "give a Latentkit error or a file that can be read",
    async (original, early, changes) => {
      const bytes = original.slice();
      const range = early ? 200 : bytes.length;
      for (const [at, mask] of changes) bytes[at % range] = (bytes[at % range] ?? 0) ^ mask;
      try {
        const store = await open(bytes);
        for (const name of store.names()) await store.readBytes(name);
        if (store.metadata.get("general.architecture") !== "llama") return;
        const { tensors } = llamaFromGguf(store);
        for (const name of tensors.names()) await tensors.readFloats(name);
        tokenizerFromGguf(store.metadata).encode("hello <|im_end|> 12");
      } catch (error) {
        if (!LatentkitError.isInstance(error)) throw error;
      }
    },
  );
});
