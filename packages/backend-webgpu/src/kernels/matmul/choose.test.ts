import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { leastFeatures } from "../../features.ts";
import { choosePlan, costOf, groupsOf, Plans, shapeClass } from "./choose.ts";
import { candidatesOf, type GemmShape, lanesOf, nameOfPlan } from "./plan.ts";

const shapeOf = (m: number, n: number, k: number, more: Partial<GemmShape> = {}): GemmShape => ({
  batch: 1,
  m,
  n,
  k,
  transposeA: false,
  transposeB: true,
  halves: false,
  ...more,
});
const everything = {
  ...leastFeatures,
  f16: true,
  subgroups: true,
  matrixUnits: { m: 16, n: 16, k: 16, subgroup: 32 },
};
const sizes = fc.integer({ min: 1, max: 70_000 });
const shapes = fc.record({
  batch: fc.integer({ min: 1, max: 64 }),
  m: sizes,
  n: sizes,
  k: sizes,
  transposeA: fc.boolean(),
  transposeB: fc.boolean(),
  halves: fc.boolean(),
});

describe("plans of matrix products", () => {
  it("keep to workgroup memory and invocations, name themselves, and split no more than there is", () => {
    fc.assert(
      fc.property(shapes, fc.boolean(), (shape, all) => {
        const features = all ? everything : leastFeatures;
        const plans = candidatesOf(shape, features);
        expect(new Set(plans.map(nameOfPlan)).size).toBe(plans.length);
        expect(plans).toContainEqual(choosePlan(shape, features));
        for (const plan of plans) {
          if (plan.kind !== "tiled") continue;
          const width = plan.factors === "f16" ? 2 : 4;
          expect((plan.rows + plan.columns) * plan.depth * width).toBeLessThanOrEqual(16_384);
          expect(lanesOf(plan)).toBeLessThanOrEqual(256);
          // What an invocation computes, and vectors of 4, fit the tile.
          expect([plan.rowsEach % 4, plan.columnsEach % 4]).toEqual([0, 0]);
          expect([plan.rows % plan.rowsEach, plan.columns % plan.columnsEach]).toEqual([0, 0]);
          if (plan.splits > 1) expect(shape.k / plan.splits).toBeGreaterThanOrEqual(256);
          const tiles = Math.ceil(shape.m / plan.rows) * Math.ceil(shape.n / plan.columns);
          expect(groupsOf(plan, shape)).toBe(plan.splits * shape.batch * tiles);
        }
      }),
    );
  });

  it("take no halves and no units without permission or without the feature", () => {
    fc.assert(
      fc.property(shapes, (shape) => {
        for (const plan of [
          ...candidatesOf({ ...shape, halves: false }, everything),
          ...candidatesOf(shape, leastFeatures),
        ]) {
          expect(plan.kind).not.toBe("units");
          if (plan.kind === "tiled") expect(plan.factors).toBe("f32");
        }
      }),
    );
  });

  it.each([
    ["square and large", shapeOf(4096, 4096, 4096), "tiled:128x128x16:8x8:1:f32"],
    ["one token", shapeOf(1, 49_152, 576), "few-rows"],
    ["16 tokens", shapeOf(16, 49_152, 576), "tiled:16x64x16:4x4:1:f32"],
    ["a small output of a long inner size", shapeOf(64, 64, 65_536), "tiled:64x64x16:4x4:16:f32"],
  ])("suit their class: %s", (_, shape, name) => {
    expect(nameOfPlan(choosePlan(shape, leastFeatures))).toBe(name);
  });

  it("take matrix units where they are permitted and there are rows to fill them", () => {
    const large = shapeOf(4096, 4096, 4096, { halves: true });
    expect(choosePlan(large, everything).kind).toBe("units");
    expect(choosePlan({ ...large, m: 16 }, everything)).toMatchObject({ factors: "f16" });
  });

  it("on a processor are of small blocks", () => {
    const software = { ...leastFeatures, software: true };
    for (const size of [8, 100, 1024]) {
      const plan = choosePlan(shapeOf(size, size, size), software);
      expect(plan).toMatchObject({ rowsEach: 4, columnsEach: 4 });
      expect(costOf(plan, shapeOf(size, size, size), software)).toBeLessThan(Infinity);
    }
  });

  it("that were measured go before the rule, in their class and where the shape allows them", () => {
    const shape = shapeOf(1000, 1000, 1000);
    const plans = new Plans(leastFeatures, { [shapeClass(shape)]: "tiled:32x32x16:4x4:1:f32" });
    expect(nameOfPlan(plans.planFor(shape))).toBe("tiled:32x32x16:4x4:1:f32");
    expect(nameOfPlan(plans.planFor(shapeOf(600, 1024, 513)))).toBe("tiled:32x32x16:4x4:1:f32");
    const other = shapeOf(1000, 1000, 1025);
    expect(plans.planFor(other)).toEqual(choosePlan(other, leastFeatures));
    // A name that this device has no plan of.
    const unknown = new Plans(leastFeatures, { [shapeClass(shape)]: "units" });
    expect(unknown.planFor(shape)).toEqual(choosePlan(shape, leastFeatures));
    unknown.remember(shape, { kind: "few-rows" });
    expect(unknown.planFor(shape).kind).toBe("tiled");
  });
});
