import { fc, test } from "@fast-check/vitest";
import { StoredWeight } from "@latentkit/tensor";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { deviation, openTiny, read, referenceDevice } from "./__fixtures__/support.ts";
import type { LanguageModel } from "./language-model.ts";
import { loadModel } from "./load-model.ts";
import { transposeStored } from "./transpose-stored.ts";
import { orthogonalizedTo } from "./weight-edits.ts";

describe("transposeStored", () => {
  test.prop([
    fc.integer({ min: 1, max: 70 }),
    fc.integer({ min: 1, max: 70 }),
    fc.constantFrom(2 as const, 4 as const),
    fc.nat({ max: 5 }),
  ])("puts each element in its place, at any offset", (rows, columns, size, offset) => {
    const elements = Array.from({ length: rows * columns }, (_, index) => index);
    const Elements = size === 2 ? Uint16Array : Uint32Array;
    const buffer = new Uint8Array(offset + rows * columns * size);
    buffer.set(new Uint8Array(Elements.from(elements).buffer), offset);
    const out = transposeStored(buffer.subarray(offset), [rows, columns], size);
    const expected = elements.map((at) => (at % rows) * columns + Math.floor(at / rows));
    expect([...new Elements(out.buffer)]).toEqual(expected);
  });
});

describe("GPT-2's matrices, which checkpoints hold as [in, out]", () => {
  const device = referenceDevice();
  let stored: LanguageModel;
  let plain: LanguageModel;
  beforeAll(async () => {
    stored = await loadModel(await openTiny("families/gpt2"), { device });
    plain = await loadModel(await openTiny("families/gpt2"), { device, weights: "f32" });
  });
  afterAll(() => {
    stored.dispose();
    plain.dispose();
    expect(device.memory().liveBytes).toBe(0);
  });
  const name = "transformer.h.0.mlp.c_fc.weight";
  const tokens = [[5, 4, 3, 2, 1]];

  it("stay in the dtype of the file, [out, in] as kernels read them", async () => {
    const weight = stored.weight(name);
    expect(weight).toBeInstanceOf(StoredWeight);
    expect(weight).toMatchObject({ shape: [96, 24], format: "f16", byteLength: 2 * 24 * 96 });
    expect(plain.weight(name).shape).toEqual([24, 96]);
    const options = { capture: ["blocks.1.attn.hook_result"] };
    const [a, b] = [await read(stored, tokens, options), await read(plain, tokens, options)];
    expect(deviation(a.logits, b.logits)).toBeLessThan(1e-5);
    const site = "blocks.1.attn.hook_result";
    expect(deviation(a.at(site), b.at(site))).toBeLessThan(1e-5);
  });

  it("are [in, out] as parameters, to edits and to overrides", async () => {
    expect(stored.parameter(name).shape).toEqual([24, 96]);
    expect(await stored.parameter(name).floats()).toEqual(await plain.parameter(name).floats());
    const direction = Float32Array.from({ length: 24 }, (_, index) => Math.sin(index));
    using edited = orthogonalizedTo(stored, direction);
    using expected = orthogonalizedTo(plain, direction);
    expect(
      deviation((await read(edited, tokens)).logits, (await read(expected, tokens)).logits),
    ).toBeLessThan(1e-5);
    using zeros = device.zeros([24, 96]);
    const overrides = new Map([[name, zeros]]);
    using a = stored.withWeights(overrides);
    using b = plain.withWeights(overrides);
    expect(deviation((await read(a, tokens)).logits, (await read(b, tokens)).logits)).toBeLessThan(
      1e-5,
    );
    using turned = device.zeros([96, 24]);
    expect(() => stored.withWeights(new Map([[name, turned]]))).toThrow(
      expect.objectContaining({
        code: "WEIGHT_SHAPE",
        message: expect.stringContaining("the model's is [24, 96]"),
      }),
    );
  });
});
