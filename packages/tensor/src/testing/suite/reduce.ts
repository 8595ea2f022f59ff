/* oxlint-disable vitest/expect-expect -- agree(), holds() and check() assert */
import fc from "fast-check";
import { expect, it } from "vitest";
import { argmax, max, mean, sum, sumOfSquares, topK } from "../../operators/reduce.ts";
import {
  agree,
  anySeed,
  exact,
  fewSize,
  holds,
  readAll,
  someSize,
  sumTolerance,
  type Suite,
} from "./agree.ts";

const reductions = [
  ["sum", sum],
  ["mean", mean],
  ["max", max],
  ["sumOfSquares", sumOfSquares],
] as const;

export function reduceSuite(suite: Suite): void {
  it.each(reductions)("%s agrees with the reference along every axis", async (_name, operator) => {
    const input = fc.record({
      seed: anySeed,
      shape: fc.tuple(fewSize, someSize, fewSize),
      axis: fc.integer({ min: -3, max: 2 }),
      keepDims: fc.boolean(),
    });
    await holds(
      input,
      async ({ seed, shape, axis, keepDims }) => {
        if (operator === max && shape.at(axis) === 0) return;
        await agree(suite, seed, sumTolerance(Math.max(...shape)), (inputs) => ({
          out: operator(inputs.normal(shape), { axis, keepDims }),
        }));
      },
      50,
    );
  });

  it.each(reductions)("%s over the whole tensor", async (_name, operator) => {
    await agree(suite, 20, sumTolerance(3 * 67 * 5), (inputs) => ({
      out: operator(inputs.normal([3, 67, 5])),
      kept: operator(inputs.normal([3, 5]), { keepDims: true }),
    }));
  });

  it("long sums do not drift: pairwise or f64 accumulation", async () => {
    const length = 200_003;
    const read = await readAll(suite.device, 21, ({ device }) => {
      const x = device.full([length], 0.1);
      return {
        sum: sum(x, { axis: 0 }),
        mean: mean(x, { axis: 0 }),
        columns: sum(x.reshape([length, 1]), { axis: 0 }),
      };
    });
    const expected = Math.fround(0.1) * length;
    expect(read.get("sum")?.values).toBeClose([expected], { rtol: 2e-6, atol: 0 });
    expect(read.get("columns")?.values).toBeClose([expected], { rtol: 2e-6, atol: 0 });
    expect(read.get("mean")?.values).toBeClose([0.1], { rtol: 2e-6, atol: 0 });
  });

  it("NaN goes through sums and maxima; max of only -infinity is -infinity", async () => {
    const read = await readAll(suite.device, 22, (inputs) => {
      const x = Float32Array.from({ length: 3 * 21 }, (_, index) =>
        index < 21 ? Number.NEGATIVE_INFINITY : index,
      );
      x[21 + 20] = Number.NaN;
      return {
        max: max(inputs.of(x, [3, 21]), { axis: 1 }),
        sum: sum(inputs.of(x, [3, 21]), { axis: 1 }),
      };
    });
    expect(read.get("max")?.values).toBeClose([Number.NEGATIVE_INFINITY, Number.NaN, 62], exact);
    expect(read.get("sum")?.values[0]).toBe(Number.NEGATIVE_INFINITY);
    expect(read.get("sum")?.values[1]).toBeNaN();
  });

  it("argmax agrees with the reference and takes the first of equals", async () => {
    await holds(
      fc.record({ seed: anySeed, rows: fewSize, columns: someSize }),
      ({ seed, rows, columns }) =>
        agree(suite, seed, exact, (inputs) => ({
          out: argmax(inputs.normal([rows, columns])),
          ties: argmax(inputs.uniform([rows, columns], 0, 0)),
        })),
    );
    const read = await readAll(suite.device, 23, (inputs) => ({
      out: argmax(
        inputs.of([1, 5, 5, 2, 3, 5, 0, 1, Number.NaN, -1, -2, -3, Number.NaN, -4, -5, -6], [2, 8]),
      ),
    }));
    expect([...(read.get("out")?.values ?? [])]).toEqual([1, 1]);
  });

  it("topK agrees with the reference, ties and negatives included", async () => {
    const input = fc.record({
      seed: anySeed,
      rows: fewSize,
      columns: someSize,
      k: fc.nat(1000),
      levels: fc.constantFrom(3, 1000),
    });
    await holds(
      input,
      ({ seed, rows, columns, k, levels }) =>
        agree(suite, seed, exact, (inputs) => {
          const x = Float32Array.from(
            { length: rows * columns },
            () => inputs.random.integer(levels) - levels / 2,
          );
          const { values, indices } = topK(inputs.of(x, [rows, columns]), (k % columns) + 1);
          return { values, indices };
        }),
      50,
    );
  });

  it("topK of a wide row agrees with the reference", async () => {
    await agree(suite, 24, exact, (inputs) => ({ ...topK(inputs.normal([2, 5003]), 64) }));
  });
}
