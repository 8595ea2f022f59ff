/* oxlint-disable vitest/expect-expect -- agree(), holds() and check() assert */
import { fromBf16Bits, fromF16Bits, toBf16Bits, toF16Bits } from "@latentkit/core";
import fc from "fast-check";
import { expect, it } from "vitest";
import { clone, concat, convert, copyInto, fill, permute, slice } from "../../operators/layout.ts";
import { agree, anySeed, anySize, exact, fewSize, holds, readAll, type Suite } from "./agree.ts";

const permutations = fc.shuffledSubarray([0, 1, 2, 3], { minLength: 4 });
const allHalves = Uint16Array.from({ length: 65536 }, (_, index) => index);

export function layoutSuite(suite: Suite): void {
  it("permute agrees with the reference", async () => {
    const shapes = fc.tuple(fewSize, anySize, fewSize, fc.constantFrom(1, 4, 9));
    await holds(
      fc.record({ seed: anySeed, shape: shapes, order: permutations }),
      ({ seed, shape, order }) =>
        agree(suite, seed, exact, (inputs) => ({ out: permute(inputs.normal(shape), order) })),
    );
  });

  it("permuting back is the identity", async () => {
    await holds(fc.record({ seed: anySeed, order: permutations }), async ({ seed, order }) => {
      const read = await readAll(suite.device, seed, (inputs) => {
        const x = inputs.normal([3, 5, 2, 7]);
        const back = order.map((_, axis) => order.indexOf(axis));
        return { x: clone(x), back: permute(permute(x, order), back) };
      });
      expect(read.get("back")).toEqual(read.get("x"));
    });
  });

  it("slice agrees with the reference along every axis", async () => {
    const bounds = fc.tuple(fc.nat(100), fc.nat(100));
    await holds(
      fc.record({
        seed: anySeed,
        shape: fc.tuple(fewSize, anySize, fewSize),
        axis: fc.integer({ min: -3, max: 2 }),
        bounds,
      }),
      (input) => {
        const size = input.shape.at(input.axis) ?? 0;
        const [start, end] = input.bounds.map((bound) => bound % (size + 1)).sort((a, b) => a - b);
        return agree(suite, input.seed, exact, (inputs) => ({
          out: slice(inputs.normal(input.shape), {
            axis: input.axis,
            start: start ?? 0,
            end: end ?? 0,
          }),
        }));
      },
    );
  });

  it("concat agrees with the reference, and slices of it are its parts", async () => {
    await holds(
      fc.record({
        seed: anySeed,
        sizes: fc.array(fewSize, { minLength: 1, maxLength: 4 }),
        axis: fc.nat(2),
        inner: anySize,
      }),
      (input) =>
        agree(suite, input.seed, exact, (inputs) => {
          const parts = input.sizes.map((size) =>
            inputs.normal([2, 3, input.inner].with(input.axis, size)),
          );
          return { out: concat(parts, { axis: input.axis }) };
        }),
    );
    const read = await readAll(suite.device, 7, (inputs) => {
      const [a, b] = [inputs.normal([2, 3, 5]), inputs.normal([2, 4, 5])];
      return {
        b: clone(b),
        part: slice(concat([a, b], { axis: 1 }), { axis: 1, start: 3, end: 7 }),
      };
    });
    expect(read.get("part")).toEqual(read.get("b"));
  });

  it("integers and bytes can be moved as well", async () => {
    await agree(suite, 8, exact, (inputs) => {
      const ids = inputs.integers([5, 7], 1000);
      const bytes = inputs.device.tensor(
        Uint8Array.from({ length: 35 }, (_, index) => index * 7),
        [5, 7],
      );
      const halves = inputs.device.fromBytes(
        new Uint8Array(allHalves.slice(0, 35).buffer),
        [5, 7],
        "f16",
      );
      const target = inputs.device.zeros([4, 7], "i32");
      copyInto(ids.rows(1, 3), target, { axis: 0, start: 1 });
      const filled = inputs.device.empty([9], "i32");
      fill(filled, -3);
      return {
        ids: permute(ids, [1, 0]),
        bytes: permute(bytes, [1, 0]),
        halves: permute(halves, [1, 0]),
        middle: slice(ids, { axis: 1, start: 2, end: 5 }),
        both: concat([ids, ids], { axis: 1 }),
        cloned: clone(bytes.rows(1, 4)),
        target,
        filled,
        zeros: inputs.device.zeros([11], "u8"),
      };
    });
  });

  it("copyInto writes rows of a cache and nothing else", async () => {
    await holds(
      fc.record({ seed: anySeed, axis: fc.nat(2), start: fc.nat(2), size: fewSize }),
      ({ seed, axis, start, size }) =>
        agree(suite, seed, exact, (inputs) => {
          const target = inputs.normal([7, 7, 9]);
          const length = Math.min(size, 7 - start);
          copyInto(inputs.normal([7, 7, 9].with(axis, length)), target, { axis, start });
          return { target };
        }),
    );
  });

  it("copyInto reads before it writes when both are views of one tensor", async () => {
    const read = await readAll(suite.device, 9, (inputs) => {
      const x = inputs.of(
        Float32Array.from({ length: 40 }, (_, index) => index),
        [40],
      );
      copyInto(x.rows(0, 38), x, { axis: 0, start: 2 });
      return { x: clone(x) };
    });
    expect(read.get("x")?.values).toBeClose(
      [0, 1, ...Array.from({ length: 38 }, (_, index) => index)],
      exact,
    );
  });

  it.each([
    ["f16", fromF16Bits],
    ["bf16", fromBf16Bits],
  ] as const)("every %s pattern widens exactly", async (dtype, widen) => {
    const read = await readAll(suite.device, 10, ({ device }) => ({
      out: convert(device.fromBytes(new Uint8Array(allHalves.buffer), [65536], dtype), "f32"),
    }));
    expect(read.get("out")?.values).toBeClose(Float32Array.from(allHalves, widen), exact);
  });

  it.each([
    ["f16", fromF16Bits, toF16Bits],
    ["bf16", fromBf16Bits, toBf16Bits],
  ] as const)("f32 rounds to %s as core does", async (dtype, widen, narrow) => {
    // Values, their midpoints to the next one, and a hair to either side of the midpoint.
    const values = [...allHalves].map(widen).filter((value) => Number.isFinite(value));
    const near = values.flatMap((value, index) => {
      const middle = Math.fround((value + (values[index + 1] ?? value)) / 2);
      return index % 5 === 0
        ? [value, middle, middle * (1 + 2 ** -22), middle * (1 - 2 ** -22)]
        : [middle];
    });
    const x = Float32Array.from([
      ...near,
      Number.NaN,
      Number.POSITIVE_INFINITY,
      Number.NEGATIVE_INFINITY,
      3e38,
      -3e38,
      65519,
      65520,
      1e-8,
      -1e-8,
    ]);
    const read = await readAll(suite.device, 11, ({ device }) => ({
      out: convert(convert(device.tensor(x, [x.length]), dtype), "f32"),
    }));
    expect(read.get("out")?.values).toBeClose(
      x.map((value) => widen(narrow(value))),
      exact,
    );
  });

  it("full, zeros and scalars hold what they say", async () => {
    const read = await readAll(suite.device, 12, ({ device }) => ({
      full: device.full([3, 3], -0.5),
      zeros: device.zeros([5]),
      scalar: device.full([], 7),
    }));
    expect(read.get("full")?.values).toBeClose(new Array<number>(9).fill(-0.5), exact);
    expect(read.get("zeros")?.values).toBeClose([0, 0, 0, 0, 0], exact);
    expect(read.get("scalar")?.values).toBeClose([7], exact);
  });
}
