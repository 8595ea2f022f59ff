import { fc, test } from "@fast-check/vitest";
import type { DType } from "@latentkit/core";
import { describe, expect, it } from "vitest";
import { errorOf, loadBytes } from "../__fixtures__/load.ts";
import { bytesSource } from "../byte-source.ts";
import { encodeSafetensors } from "./encode-safetensors.ts";
import type { TensorToWrite } from "./encode-safetensors.ts";
import { openSafetensors } from "./open-safetensors.ts";

describe("encodeSafetensors", () => {
  it("writes the bytes that Hugging Face's writer writes", async () => {
    const bytes = loadBytes("reference.safetensors");
    const store = await openSafetensors(bytesSource(bytes, "reference"));
    const dtypes: Readonly<Record<string, DType>> = {
      F32: "f32",
      F16: "f16",
      BF16: "bf16",
      I32: "i32",
      U8: "u8",
    };
    const tensors = await Promise.all(
      store.names().map(async (name): Promise<TensorToWrite> => {
        const { shape, format } = store.info(name);
        return { name, shape, dtype: dtypes[format] ?? "u8", bytes: await store.readBytes(name) };
      }),
    );
    expect(encodeSafetensors(tensors.toReversed(), store.metadata)).toEqual(bytes);
  });

  it("gives the same bytes in whatever order things come", () => {
    const a: TensorToWrite = { name: "a", dtype: "f32", shape: [1], bytes: Float32Array.of(1) };
    const b: TensorToWrite = { name: "b", dtype: "u8", shape: [3], bytes: Uint8Array.of(1, 2, 3) };
    expect(encodeSafetensors([b, a], { y: "1", x: "2" })).toEqual(
      encodeSafetensors([a, b], { x: "2", y: "1" }),
    );
  });

  it("starts data at a multiple of 8 and each tensor at a multiple of its element", async () => {
    const bytes = encodeSafetensors([
      { name: "a", dtype: "u8", shape: [3], bytes: Uint8Array.of(1, 2, 3) },
      { name: "b", dtype: "f16", shape: [1], bytes: Float32Array.of(1) },
      { name: "c", dtype: "f32", shape: [1], bytes: Float32Array.of(2) },
    ]);
    const length = Number(new DataView(bytes.buffer).getBigUint64(0, true));
    expect(length % 8).toBe(0);
    const json: Readonly<Record<string, { data_offsets: readonly number[] }>> = JSON.parse(
      new TextDecoder().decode(bytes.subarray(8, 8 + length)),
    );
    expect([json.c?.data_offsets, json.b?.data_offsets, json.a?.data_offsets]).toEqual([
      [0, 4],
      [4, 6],
      [6, 9],
    ]);
  });

  it("rounds floats to f16 and bf16", async () => {
    const values = Float32Array.of(1, 1 / 3, 65504, -1e-7);
    const store = await openSafetensors(
      bytesSource(
        encodeSafetensors([
          { name: "half", dtype: "f16", shape: [4], bytes: values },
          { name: "brain", dtype: "bf16", shape: [4], bytes: values },
        ]),
        "t",
      ),
    );
    expect([...(await store.readFloats("half"))]).toEqual([
      1, 0.333251953125, 65504, -1.1920928955078125e-7,
    ]);
    expect([...(await store.readFloats("brain"))]).toEqual([
      1,
      0.333984375,
      65536,
      Math.fround(-1.0011717677116394e-7),
    ]);
  });

  it.each<readonly [string, readonly TensorToWrite[]]>([
    [
      "a name used twice",
      [1, 2].map(() => ({ name: "a", dtype: "u8" as const, shape: [0], bytes: new Uint8Array(0) })),
    ],
    [
      "the reserved name",
      [{ name: "__metadata__", dtype: "u8", shape: [0], bytes: new Uint8Array(0) }],
    ],
    ["too little data", [{ name: "a", dtype: "f32", shape: [2], bytes: Float32Array.of(1) }]],
    ["too many bytes", [{ name: "a", dtype: "f32", shape: [1], bytes: new Uint8Array(5) }]],
    ["floats for integers", [{ name: "a", dtype: "i32", shape: [1], bytes: Float32Array.of(1) }]],
    ["integers for floats", [{ name: "a", dtype: "f32", shape: [1], bytes: Int32Array.of(1) }]],
  ])("refuses %s", async (_name, tensors) => {
    expect(await errorOf(() => encodeSafetensors(tensors))).toMatchObject({
      code: "TENSOR_TO_WRITE",
      name: "ConfigError",
    });
  });

  const someTensor = fc.record({
    name: fc.string({ unit: "grapheme", minLength: 1 }),
    values: fc.array(fc.float(), { maxLength: 20 }),
  });
  test.prop([
    fc.uniqueArray(someTensor, { selector: ({ name }) => name, maxLength: 6 }),
    fc.dictionary(fc.string(), fc.string(), { noNullPrototype: true }),
  ])("what is written is read back", async (tensors, metadata) => {
    const list = tensors.map(({ name, values }) => ({
      name,
      dtype: "f32" as const,
      shape: [values.length],
      bytes: Float32Array.from(values),
    }));
    const store = await openSafetensors(bytesSource(encodeSafetensors(list, metadata), "t"));
    expect(store.names()).toEqual(tensors.map(({ name }) => name).sort());
    for (const { name, bytes } of list) expect(await store.readFloats(name)).toEqual(bytes);
    const byKey = (a: readonly string[], b: readonly string[]): number =>
      (a[0] ?? "") < (b[0] ?? "") ? -1 : 1;
    expect(Object.entries(store.metadata).sort(byKey)).toEqual(
      Object.entries(metadata).sort(byKey),
    );
  });
});
