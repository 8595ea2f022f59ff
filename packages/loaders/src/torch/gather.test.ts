import { fc, test } from "@fast-check/vitest";
import { sizeOf, stridesOf } from "@latentkit/core";
import { describe, expect, it } from "vitest";
import { gather, isContiguous, spanOf } from "./gather.ts";

const shapes = fc.array(fc.integer({ min: 1, max: 5 }), { maxLength: 4 });

describe("gather", () => {
  test.prop([
    shapes,
    fc.constantFrom(1, 2, 4, 8),
    fc.array(fc.nat(), { minLength: 4, maxLength: 4 }),
  ])("gives a permuted array's elements row by row", (shape, width, keys) => {
    const bytes = Uint8Array.from({ length: sizeOf(shape) * width }, (_, at) => (at * 37) % 251);
    const order = shape.map((_, axis) => axis).sort((a, b) => (keys[a] ?? 0) - (keys[b] ?? 0));
    const strides = stridesOf(shape);
    const view = {
      shape: order.map((axis) => shape[axis] ?? 1),
      strides: order.map((axis) => strides[axis] ?? 1),
    };
    const result = gather(bytes, view.shape, view.strides, width);
    const dense = stridesOf(view.shape);
    for (let at = 0; at < sizeOf(shape); at++) {
      const from = view.strides.reduce(
        (sum, stride, axis) =>
          sum + stride * (Math.floor(at / (dense[axis] ?? 1)) % (view.shape[axis] ?? 1)),
        0,
      );
      expect([...result.subarray(at * width, (at + 1) * width)]).toEqual([
        ...bytes.subarray(from * width, (from + 1) * width),
      ]);
    }
    expect(spanOf(view)).toBe(sizeOf(shape));
    if (isContiguous(view.shape, view.strides)) expect(result).toEqual(bytes);
  });

  it("of a view at an odd place, and of nothing", () => {
    const bytes = Uint8Array.from({ length: 33 }, (_, at) => at).subarray(1);
    expect([...gather(bytes, [2], [3], 4)]).toEqual([1, 2, 3, 4, 13, 14, 15, 16]);
    expect(gather(new Uint8Array(), [0, 3], [3, 1], 4)).toHaveLength(0);
    expect(spanOf({ shape: [0, 3], strides: [3, 1] })).toBe(0);
  });
});
