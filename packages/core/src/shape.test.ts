import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ShapeError } from "./errors.ts";
import { broadcastShapes, checkShape, formatShape, sameShape, sizeOf, stridesOf } from "./shape.ts";

describe("shapes", () => {
  it("have sizes and row-major strides", () => {
    expect(sizeOf([])).toBe(1);
    expect(sizeOf([2, 3, 4])).toBe(24);
    expect(sizeOf([2, 0, 4])).toBe(0);
    expect(stridesOf([2, 3, 4])).toEqual([12, 4, 1]);
    expect(stridesOf([])).toEqual([]);
    expect(formatShape([8, 128, 576])).toBe("[8, 128, 576]");
  });

  it("are the same when rank and sizes are", () => {
    expect(sameShape([2, 3], [2, 3])).toBe(true);
    expect(sameShape([2, 3], [3, 2])).toBe(false);
    expect(sameShape([2], [2, 1])).toBe(false);
    expect(sameShape([], [])).toBe(true);
  });

  it("address each element once", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 5 }), { maxLength: 4 }), (shape) => {
        const strides = stridesOf(shape);
        const places = new Set<number>();
        for (let index = 0; index < sizeOf(shape); index++) {
          let rest = index;
          let place = 0;
          for (let axis = 0; axis < shape.length; axis++) {
            place += (rest % (shape[axis] ?? 1)) * (strides[axis] ?? 0);
            rest = Math.floor(rest / (shape[axis] ?? 1));
          }
          places.add(place);
        }
        expect(places.size).toBe(sizeOf(shape));
        expect(Math.max(...places)).toBe(sizeOf(shape) - 1);
      }),
      { seed: 1 },
    );
  });
});

describe("broadcastShapes", () => {
  it.each([
    [[2, 3], [3], [2, 3]],
    [[3], [2, 3], [2, 3]],
    [
      [2, 1],
      [1, 3],
      [2, 3],
    ],
    [[], [4], [4]],
    [[0], [1], [0]],
    [
      [5, 1, 7],
      [6, 1],
      [5, 6, 7],
    ],
  ])("%j and %j give %j", (a, b, expected) => {
    expect(broadcastShapes(a, b, "add")).toEqual(expected);
  });

  it("does not depend on the order, and a shape with itself is itself", () => {
    const shape = fc.array(fc.constantFrom(1, 2), { maxLength: 4 });
    fc.assert(
      fc.property(shape, shape, (a, b) => {
        expect(broadcastShapes(a, b, "add")).toEqual(broadcastShapes(b, a, "add"));
        expect(broadcastShapes(a, a, "add")).toEqual(a);
      }),
      { seed: 1 },
    );
  });

  it("names the operator and both shapes when they do not fit", () => {
    expect(() => broadcastShapes([2, 3], [2, 4], "mul")).toThrow(ShapeError);
    expect(() => broadcastShapes([2, 3], [2, 4], "mul")).toThrow(/mul.*\[2, 3\].*\[2, 4\]/);
    expect(() => broadcastShapes([0], [2], "mul")).toThrow(ShapeError);
  });
});

describe("checkShape", () => {
  it.each([[[]], [[0]], [[3, 4]]])("takes %j", (shape) => {
    expect(() => checkShape(shape)).not.toThrow();
  });

  it.each([[[-1]], [[1.5]], [[Number.NaN]], [[2 ** 30, 2 ** 30]], [[Number.POSITIVE_INFINITY]]])(
    "refuses %j",
    (shape) => {
      expect(() => checkShape(shape, "here")).toThrow(
        expect.objectContaining({ code: "SHAPE_INVALID", where: "here" }),
      );
    },
  );
});
