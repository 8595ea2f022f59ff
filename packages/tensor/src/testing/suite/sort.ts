/* oxlint-disable vitest/expect-expect -- agree(), holds() and gradientsAgree() assert */
import fc from "fast-check";
import { expect, it } from "vitest";
import { gather } from "../../operators/indexing.ts";
import { clone } from "../../operators/layout.ts";
import { argsort, cumsum, sort, topK, topKAll } from "../../operators/sort.ts";
import type { Tensor } from "../../tensor.ts";
import {
  agree,
  anySeed,
  exact,
  fewSize,
  holds,
  type Inputs,
  readAll,
  someSize,
  type Suite,
} from "./agree.ts";
import { gradientsAgree } from "./gradient-check.ts";

const close = { rtol: 1e-6, atol: 1e-6 };

/** Numbers with many ties, negative ones and both zeros. */
function ties(inputs: Inputs, shape: readonly number[], levels: number): Tensor {
  const size = shape.reduce((product, each) => product * each, 1);
  const half = Math.floor(levels / 2);
  return inputs.of(
    Float32Array.from({ length: size }, () => {
      const level = inputs.random.integer(levels) - half;
      return level === 0 && inputs.random.uniform() < 0.5 ? -0 : level;
    }),
    shape,
  );
}

export function sortSuite(suite: Suite): void {
  it("sort agrees with the reference: stable, both directions, floats and integers", async () => {
    await holds(
      fc.record({
        seed: anySeed,
        rows: fewSize,
        columns: fc.oneof(someSize, fc.constantFrom(0, 257, 1000)),
        levels: fc.constantFrom(3, 2 ** 20),
        descending: fc.boolean(),
      }),
      ({ seed, rows, columns, levels, descending }) =>
        agree(suite, seed, exact, (inputs) => {
          const x = ties(inputs, [rows, columns], levels);
          const ids = inputs.integers([rows, columns], levels);
          const floats = sort(x, { descending });
          const integers = sort(ids, { descending });
          return {
            values: floats.values,
            indices: floats.indices,
            integers: integers.values,
            order: integers.indices,
            argsort: argsort(x, { descending }),
          };
        }),
      50,
    );
  });

  it("long rows, and many rows, agree with the reference", async () => {
    await agree(suite, 2, exact, (inputs) => {
      const long = sort(ties(inputs, [70_001], 5000));
      const many = sort(inputs.normal([300, 700]), { descending: true });
      const spread = sort(inputs.normal([40_000], 1e30));
      return {
        long: long.values,
        longOrder: long.indices,
        many: many.values,
        manyOrder: many.indices,
        spread: spread.values,
        spreadOrder: spread.indices,
      };
    });
  });

  it("NaN comes after infinity; equal elements and zeros keep their order", async () => {
    const values = [
      3,
      Number.NaN,
      Number.NEGATIVE_INFINITY,
      -0,
      0,
      Number.POSITIVE_INFINITY,
      -0,
      Number.NaN,
      3,
    ];
    const read = await readAll(suite.device, 3, (inputs) => {
      const x = inputs.of(values, [values.length]);
      return { up: argsort(x), down: argsort(x, { descending: true }), values: sort(x).values };
    });
    expect([...(read.get("up")?.values ?? [])]).toEqual([2, 3, 4, 6, 0, 8, 5, 1, 7]);
    expect([...(read.get("down")?.values ?? [])]).toEqual([1, 7, 5, 0, 8, 3, 4, 6, 2]);
    const sorted = [...(read.get("values")?.values ?? [])];
    expect(Object.is(sorted[1], -0) && Object.is(sorted[2], 0)).toBe(true);
    expect(sorted.slice(-2)).toEqual([Number.NaN, Number.NaN]);
  });

  it("integers sort as such, beyond what f32 holds", async () => {
    const values = Int32Array.of(2 ** 24 + 1, 2 ** 24, -(2 ** 31), 2 ** 31 - 1, 2 ** 31 - 2, -1);
    const read = await readAll(suite.device, 4, (inputs) => ({
      up: sort(inputs.of(values, [6])).values,
    }));
    expect([...(read.get("up")?.values ?? [])]).toEqual([...values].sort((a, b) => a - b));
  });

  it("sorted values are those that the indices name", async () => {
    const read = await readAll(suite.device, 5, (inputs) => {
      const x = inputs.normal([5, 3001]);
      const { values, indices } = sort(x);
      return { gathered: gather(x, indices, { axis: 1 }), values };
    });
    expect(read.get("gathered")).toEqual(read.get("values"));
  });

  it("topKAll agrees with the reference, ties included", async () => {
    await holds(
      fc.record({
        seed: anySeed,
        rows: fc.constantFrom(1, 3, 8),
        columns: someSize,
        k: fc.nat(10_000),
        levels: fc.constantFrom(1, 3, 1000),
      }),
      ({ seed, rows, columns, k, levels }) =>
        agree(suite, seed, exact, (inputs) => ({
          ...topKAll(ties(inputs, [rows, columns], levels), (k % (rows * columns)) + 1),
        })),
      50,
    );
  });

  it.each([1, 63, 5000, 399_999, 400_000])("topKAll of 400,000 elements, k = %d", async (k) => {
    await agree(suite, 6, exact, (inputs) => ({ ...topKAll(inputs.normal([400, 1000]), k) }));
    await agree(suite, 6, exact, (inputs) => ({ ...topKAll(ties(inputs, [400, 1000], 7), k) }));
  });

  it("topKAll takes NaN for -infinity", async () => {
    const read = await readAll(suite.device, 7, (inputs) => {
      const x = new Float32Array(50_000).fill(Number.NaN);
      x[49_000] = Number.NEGATIVE_INFINITY;
      x[30_000] = -5;
      x[100] = Number.POSITIVE_INFINITY;
      return { ...topKAll(inputs.of(x, [50, 1000]), 4) };
    });
    expect([...(read.get("indices")?.values ?? [])]).toEqual([100, 30_000, 0, 1]);
  });

  it("topK of many rows agrees with the reference", async () => {
    await agree(suite, 8, exact, (inputs) => ({ ...topK(inputs.normal([257, 1031]), 17) }));
  });

  it("cumsum agrees with the reference along every axis, in all four kinds", async () => {
    await holds(
      fc.record({
        seed: anySeed,
        shape: fc.tuple(fewSize, fc.oneof(someSize, fc.constant(0)), fewSize),
        axis: fc.integer({ min: -3, max: 2 }),
        reverse: fc.boolean(),
        exclusive: fc.boolean(),
      }),
      ({ seed, shape, axis, reverse, exclusive }) =>
        agree(suite, seed, close, (inputs) => ({
          out: cumsum(inputs.normal(shape), { axis, reverse, exclusive }),
        })),
      60,
    );
    await agree(suite, 9, close, (inputs) => ({
      rows: cumsum(inputs.normal([300, 700]), { axis: 1 }),
      columns: cumsum(inputs.normal([700, 300]), { axis: 0, reverse: true }),
      middle: cumsum(inputs.normal([9, 200, 130]), { axis: 1, exclusive: true }),
    }));
  });

  it("long running sums do not drift", async () => {
    const length = 300_001;
    const read = await readAll(suite.device, 10, ({ device }) => {
      const x = device.full([length], 0.1);
      return {
        row: cumsum(x, { axis: 0 }),
        column: cumsum(x.reshape([length, 1]), { axis: 0 }).reshape([length]),
        pair: cumsum(device.full([length, 2], 0.1), { axis: 0, reverse: true }).rows(0, 1),
        before: cumsum(x, { axis: 0, exclusive: true }).rows(0, 2),
      };
    });
    const expected = Float32Array.from({ length }, (_, index) => Math.fround(0.1) * (index + 1));
    const tolerance = { rtol: 2e-7, atol: 0 };
    expect(read.get("row")?.values).toBeClose(expected, tolerance);
    expect(read.get("column")?.values).toBeClose(expected, tolerance);
    const total = expected.at(-1) ?? 0;
    expect(read.get("pair")?.values).toBeClose([total, total], tolerance);
    expect(read.get("before")?.values).toBeClose([0, 0.1], tolerance);
  });

  it("gradients go back to where the values came from", async () => {
    const cases: Readonly<Record<string, (x: Tensor) => Tensor>> = {
      sort: (x) => sort(x).values,
      descending: (x) => sort(x, { descending: true }).values,
      topK: (x) => topK(x, 3).values,
      topKAll: (x) => topKAll(x, 7).values,
      cumsum: (x) => cumsum(x, { axis: 0 }),
      reverse: (x) => cumsum(x, { axis: 1, reverse: true }),
      exclusive: (x) => cumsum(x, { axis: 1, exclusive: true }),
    };
    for (const operator of Object.values(cases)) {
      await gradientsAgree(suite, 11, close, (inputs) => {
        // Far enough apart that a step does not change the order.
        const x = inputs.of(
          Float32Array.from(inputs.random.permutation(20), (rank) => rank / 4 - 2),
          [4, 5],
        );
        return { wrt: [x], forward: () => operator(x) };
      });
    }
  });

  it("sorting does not change its input", async () => {
    const read = await readAll(suite.device, 12, (inputs) => {
      const x = inputs.normal([3, 100]);
      const before = clone(x);
      sort(x);
      topKAll(x, 9);
      return { before, x: clone(x) };
    });
    expect(read.get("x")).toEqual(read.get("before"));
  });
}
