import { sizeOf } from "@latentkit/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { stridedIndex } from "./reference/memory.ts";
import { broadcastStrides, collapseAxes } from "./strides.ts";

describe("collapseAxes", () => {
  it("visits the same places in the same order", () => {
    const axis = fc.record({
      size: fc.integer({ min: 1, max: 4 }),
      strides: fc.tuple(fc.nat(6), fc.nat(6)),
    });
    fc.assert(
      fc.property(fc.array(axis, { maxLength: 4 }), (axes) => {
        const shape = axes.map(({ size }) => size);
        const strides = [axes.map((own) => own.strides[0]), axes.map((own) => own.strides[1])];
        const plan = collapseAxes(shape, strides);
        expect(sizeOf(plan.shape)).toBe(sizeOf(shape));
        expect(plan.shape.length).toBeGreaterThan(0);
        for (const operand of [0, 1]) {
          for (let index = 0; index < sizeOf(shape); index++) {
            expect(stridedIndex(index, plan.shape, plan.strides[operand] ?? [])).toBe(
              stridedIndex(index, shape, strides[operand] ?? []),
            );
          }
        }
      }),
      { seed: 1 },
    );
  });

  it("leaves few axes: one for equal shapes, two for a bias over rows", () => {
    expect(
      collapseAxes(
        [2, 3, 4],
        [broadcastStrides([2, 3, 4], [2, 3, 4]), broadcastStrides([2, 3, 4], [2, 3, 4])],
      ),
    ).toEqual({ shape: [24], strides: [[1], [1]] });
    expect(
      collapseAxes(
        [2, 3, 4],
        [broadcastStrides([2, 3, 4], [2, 3, 4]), broadcastStrides([4], [2, 3, 4])],
      ),
    ).toEqual({
      shape: [6, 4],
      strides: [
        [4, 1],
        [0, 1],
      ],
    });
    expect(
      collapseAxes(
        [2, 3, 4],
        [broadcastStrides([2, 3, 4], [2, 3, 4]), broadcastStrides([2, 3, 1], [2, 3, 4])],
      ),
    ).toEqual({
      shape: [6, 4],
      strides: [
        [4, 1],
        [1, 0],
      ],
    });
    expect(collapseAxes([1, 1], [[5, 3]])).toEqual({ shape: [1], strides: [[1]] });
  });
});
