import { fc, test } from "@fast-check/vitest";
import { Random, sameShape } from "@latentkit/core";
import type { Tensor } from "@latentkit/tensor";
import { afterAll, describe, expect, it } from "vitest";
import { deviation, referenceDevice } from "./__fixtures__/support.ts";
import { addVector, projectOut, replaceWith, scaleBy } from "./edits.ts";
import type { EditContext, EditFunction } from "./hook-run.ts";
import type { Site } from "./sites.ts";

const device = referenceDevice();
afterAll(() => device.dispose());

const [batch, length, width] = [2, 5, 6];
const residual: Site = {
  name: "hook_embed",
  layer: null,
  shape: ["batch", "pos", "d_model"],
  width,
};
const heads: Site = {
  name: "blocks.0.attn.hook_z",
  layer: 0,
  shape: ["batch", "pos", "head_index", "d_head"],
  width,
};
const scores: Site = {
  name: "blocks.0.attn.hook_pattern",
  layer: 0,
  shape: ["batch", "head_index", "query_pos", "key_pos"],
  width,
};
const context = (site: Site, startPosition = 0): EditContext => ({
  site,
  tokens: [],
  startPosition,
  rows: [0, 1].map((index) => ({
    index,
    tokens: new Int32Array(length),
    start: 0,
    end: length,
    position: startPosition,
    promptLength: Number.POSITIVE_INFINITY,
  })),
  wants: () => false,
  visit: (_, value) => value,
  read: () => {
    throw new Error("nothing to read");
  },
});
const random = new Random(5);
const normals = (size: number) => random.fillNormal(new Float32Array(size));
const values = normals(batch * length * width);

/**
 * Applies the edit to `values`: the deviation from what `expected` says for each position and feature, infinite for another
 * shape or where memory is left.
 */
async function deviationOf(
  edit: EditFunction,
  site: Site,
  startPosition: number,
  expected: (x: number, position: number, feature: number) => number,
): Promise<number> {
  const shape = site === heads ? [batch, length, 2, 3] : [batch, length, width];
  const before = device.memory().liveBytes;
  const input = device.tensor(values, shape);
  const result = device.scope(() => edit(input, context(site, startPosition)));
  const wanted = values.map((x, index) =>
    expected(x, Math.floor(index / width) % length, index % width),
  );
  const found = deviation(await result.floats(), wanted);
  const sound = sameShape(result.shape, shape);
  result.dispose();
  input.dispose();
  return sound && device.memory().liveBytes === before ? found : Number.POSITIVE_INFINITY;
}

describe("edit builders", () => {
  const vector = normals(width);

  it.each([residual, heads])("addVector adds a multiple of the vector at $name", async (site) => {
    expect(
      await deviationOf(
        addVector(vector, { scale: -2 }),
        site,
        0,
        (x, _, feature) => x - 2 * (vector[feature] ?? 0),
      ),
    ).toBeLessThan(1e-6);
    expect(
      await deviationOf(
        addVector([...vector], { positions: [1, 2, 4] }),
        site,
        0,
        (x, position, feature) => ([1, 2, 4].includes(position) ? x + (vector[feature] ?? 0) : x),
      ),
    ).toBeLessThan(1e-6);
  });

  it("counts positions from the start of the sequence", async () => {
    expect(
      await deviationOf(
        addVector(vector, { positions: [10, 13] }),
        residual,
        10,
        (x, position, feature) =>
          position === 0 || position === 3 ? x + (vector[feature] ?? 0) : x,
      ),
    ).toBeLessThan(1e-6);
    expect(
      await deviationOf(scaleBy(0, { positions: [0, 1] }), residual, 10, (x) => x),
    ).toBeLessThan(1e-6);
  });

  it("scaleBy multiplies", async () => {
    expect(await deviationOf(scaleBy(0), residual, 0, () => 0)).toBeLessThan(1e-6);
    expect(
      await deviationOf(scaleBy(-1.5, { positions: [4] }), heads, 0, (x, position) =>
        position === 4 ? -1.5 * x : x,
      ),
    ).toBeLessThan(1e-6);
  });

  it("replaceWith takes a whole value or one vector for all tokens", async () => {
    expect(
      await deviationOf(
        replaceWith(vector),
        heads,
        0,
        (_x, _position, feature) => vector[feature] ?? 0,
      ),
    ).toBeLessThan(1e-6);
    const whole = device.tensor(
      values.map((x) => x + 1),
      [batch, length, width],
    );
    const input = device.tensor(values, whole.shape);
    expect(replaceWith(whole)(input, context(residual))).toBe(whole);
    input.dispose();
    await compareAndFree(whole);
  });

  async function compareAndFree(whole: Tensor) {
    const input = device.tensor(values, [batch, length, width]);
    const result = device.scope(() =>
      replaceWith(whole, { positions: [0] })(input, context(residual)),
    );
    const wanted = values.map((x, index) => (Math.floor(index / width) % length === 0 ? x + 1 : x));
    expect(await result.floats()).toEqual(wanted);
    for (const tensor of [whole, input, result]) tensor.dispose();
    expect(device.memory().liveBytes).toBe(0);
  }

  test.prop([fc.integer({ min: 1, max: width }), fc.integer({ min: 0, max: 99 })])(
    "projectOut leaves nothing along the directions and the rest alone",
    async (count, seed) => {
      const source = new Random(seed);
      const directions = Array.from({ length: count }, () =>
        source.fillNormal(new Float32Array(width)),
      );
      const along = directions.map((direction) => direction.map((x) => 3 * x));
      const input = device.tensor(values, [batch, length, width]);
      const edit = projectOut([...directions, ...along]);
      const result = device.scope(() => edit(input, context(residual)));
      const twice = device.scope(() => edit(result, context(residual)));
      const left = await result.floats();
      const scale = Math.sqrt(width) * 5;
      for (let token = 0; token < batch * length; token++) {
        const row = left.subarray(token * width, (token + 1) * width);
        for (const direction of directions) {
          const norm = Math.hypot(...direction);
          const inside = row.reduce(
            (sum, x, feature) => sum + (x * (direction[feature] ?? 0)) / norm,
            0,
          );
          expect(Math.abs(inside)).toBeLessThan(1e-6 * scale);
        }
      }
      // A projection: the second time changes nothing more.
      const again = await twice.floats();
      for (const [index, x] of again.entries())
        expect(Math.abs(x - (left[index] ?? 0))).toBeLessThan(1e-6 * scale);
      for (const tensor of [input, result, twice]) tensor.dispose();
    },
  );

  it.each([
    ["no directions", []],
    ["a zero direction", [new Float32Array(width)]],
    ["a direction that is not finite", [Float32Array.of(1, Number.NaN)]],
    ["directions of two lengths", [Float32Array.of(1, 2), Float32Array.of(1)]],
  ])("projectOut refuses %s", (_, directions) => {
    expect(() => projectOut(directions)).toThrow(
      expect.objectContaining({ code: "EDIT_DIRECTIONS" }),
    );
  });

  it("refuses vectors of another width, naming site and sizes", () => {
    const input = device.tensor(values, [batch, length, width]);
    for (const edit of [
      addVector([1, 2]),
      replaceWith([1, 2]),
      projectOut([Float32Array.of(1, 2)]),
    ]) {
      expect(() => device.scope(() => edit(input, context(residual)))).toThrow(
        expect.objectContaining({
          code: "EDIT_WIDTH",
          where: "hook_embed",
          message: expect.stringMatching(/\[2\].*6 features/),
        }),
      );
    }
    input.dispose();
  });

  it("refuses per-token edits where there are no tokens", () => {
    const input = device.tensor(values.subarray(0, 2 * 3 * 5), [1, 2, 3, 5]);
    for (const edit of [
      addVector(vector),
      replaceWith(vector),
      scaleBy(2, { positions: [0] }),
      projectOut([vector]),
    ]) {
      expect(() => device.scope(() => edit(input, context(scores)))).toThrow(
        expect.objectContaining({ code: "EDIT_SITE" }),
      );
    }
    device.scope(() => expect(scaleBy(0)(input, context(scores)).shape).toEqual([1, 2, 3, 5]));
    input.dispose();
    expect(device.memory().liveBytes).toBe(0);
  });
});
