import { expect, it } from "vitest";
import { errorOf } from "./__fixtures__/load.ts";
import { bytesSource } from "./byte-source.ts";
import { encodeSafetensors } from "./safetensors/encode-safetensors.ts";
import { openSafetensors } from "./safetensors/open-safetensors.ts";
import { expectShape, mergeStores } from "./tensor-store.ts";
import type { TensorStore } from "./tensor-store.ts";

async function storeOf(
  name: string,
  tensors: Readonly<Record<string, readonly number[]>>,
): Promise<TensorStore> {
  const list = Object.entries(tensors).map(([tensor, values]) => {
    return {
      name: tensor,
      dtype: "f32" as const,
      shape: [values.length],
      bytes: Float32Array.from(values),
    };
  });
  return openSafetensors(bytesSource(encodeSafetensors(list), name));
}

it("reads tensors of all shards", async () => {
  const merged = mergeStores(
    [await storeOf("one", { b: [1, 2] }), await storeOf("two", { a: [3] })],
    "both",
  );
  expect(merged.names()).toEqual(["a", "b"]);
  expect([...(await merged.readFloats("b"))]).toEqual([1, 2]);
  expect([...(await merged.readFloats("a"))]).toEqual([3]);
  expect(await merged.readBytes("a")).toHaveLength(4);
  expect(merged.info("b").shape).toEqual([2]);
  expect(merged.has("c")).toBe(false);
});

it("reads a tensor in pieces that follow each other", async () => {
  const merged = mergeStores([await storeOf("one", { a: [1, 2, 3] })], "all");
  const pieces = [];
  for await (const piece of merged.readPieces("a", { pieceBytes: 5 })) pieces.push(piece);
  expect(pieces.map(({ byteOffset, bytes }) => [byteOffset, bytes.length])).toEqual([
    [0, 5],
    [5, 5],
    [10, 2],
  ]);
  const joined = Uint8Array.from(pieces.flatMap(({ bytes }) => [...bytes]));
  expect(joined).toEqual(await merged.readBytes("a"));
});

it("refuses a tensor that is in two shards", async () => {
  const stores = [await storeOf("one", { a: [1] }), await storeOf("two", { a: [1] })];
  const error = await errorOf(() => mergeStores(stores, "both"));
  expect(error).toMatchObject({ code: "TENSOR_DUPLICATE", where: "both" });
  expect(error.message).toBe('tensor "a" is in one and again in two');
});

it("names the nearest tensor when one is missing", async () => {
  const store = await storeOf("weights", { "model.norm.weight": [1] });
  for (const call of [
    () => store.info("model.nrom.weight"),
    () => store.readFloats("model.nrom.weight"),
    () => mergeStores([store], "all").readBytes("model.nrom.weight"),
  ]) {
    const error = await errorOf(call);
    expect(error).toMatchObject({ code: "TENSOR_MISSING" });
    expect(error.message).toContain('did you mean "model.norm.weight"?');
  }
  const far = await errorOf(() => store.info("lm_head"));
  expect(far.message).not.toContain("did you mean");
  expect(far.fix).toContain("model.norm.weight");
});

it("compares shapes", async () => {
  const store = await storeOf("weights", { a: [1, 2] });
  expectShape(store.info("a"), [2], "weights");
  expect(await errorOf(() => expectShape(store.info("a"), [1, 2], "weights"))).toMatchObject({
    code: "TENSOR_SHAPE",
    where: "weights",
  });
});
