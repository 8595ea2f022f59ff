/* oxlint-disable vitest/expect-expect -- agree(), holds() and check() assert */
import fc from "fast-check";
import { expect, it } from "vitest";
import { all, any, argmax, argmin } from "../../operators/choose.ts";
import {
  logSumExp,
  max,
  mean,
  min,
  norm,
  prod,
  type ReduceOptions,
  sum,
  sumOfSquares,
  variance,
} from "../../operators/reduce.ts";
import { topK } from "../../operators/sort.ts";
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
  sumTolerance,
  type Suite,
} from "./agree.ts";

const reductions: readonly (readonly [string, (x: Tensor, options?: ReduceOptions) => Tensor])[] = [
  ["logSumExp", logSumExp],
  ["max", max],
  ["mean", mean],
  ["min", min],
  ["norm", norm],
  ["norm of order 1", (x, options) => norm(x, { ...options, order: 1 })],
  ["prod", prod],
  ["sum", sum],
  ["sumOfSquares", sumOfSquares],
  ["variance", variance],
];

/** Nothing to choose from is an error. */
const chooses: ReadonlySet<unknown> = new Set([max, min]);

const masks = [
  ["all", all],
  ["any", any],
] as const;

const someFewSize = fc.constantFrom(1, 2, 3, 5);

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
        if (chooses.has(operator) && shape.at(axis) === 0) return;
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

  it.each(reductions)(
    "%s over any set of axes agrees with the reference",
    async (_name, operator) => {
      const input = fc.record({
        seed: anySeed,
        shape: fc.tuple(someFewSize, fewSize, someSize, fewSize),
        axes: fc.subarray([0, 1, 2, 3], { minLength: 1 }),
        negative: fc.boolean(),
        keepDims: fc.boolean(),
      });
      await holds(
        input,
        async ({ seed, shape, axes, negative, keepDims }) => {
          const count = axes.reduce((product, axis) => product * (shape[axis] ?? 1), 1);
          if (chooses.has(operator) && count === 0) return;
          const axis = negative ? axes.map((each) => each - 4).toReversed() : axes;
          await agree(suite, seed, sumTolerance(count), (inputs) => ({
            out: operator(inputs.normal(shape), { axis, keepDims }),
          }));
        },
        40,
      );
    },
  );

  it.each(reductions)(
    "%s of what threads divide: rows, columns, long rows",
    async (_name, operator) => {
      // Near 1, so that products neither vanish nor overflow.
      const make = (inputs: Inputs, shape: readonly number[]): Tensor =>
        inputs.uniform(shape, 0.999, 1.001);
      await agree(suite, 25, { rtol: 2e-6, atol: 1e-8 }, (inputs) => ({
        rows: operator(make(inputs, [600, 130]), { axis: 1 }),
        columns: operator(make(inputs, [260, 301]), { axis: 0 }),
        middle: operator(make(inputs, [7, 90, 150]), { axis: 1 }),
        long: operator(make(inputs, [2, 70_003]), { axis: 1 }),
      }));
    },
  );

  it("variance of numbers far from 0 does not cancel", async () => {
    await agree(suite, 26, { rtol: 1e-6, atol: 0 }, (inputs) => {
      const x = inputs.uniform([5, 4001], 1000, 1001);
      return {
        rows: variance(x, { axis: 1 }),
        columns: variance(x, { axis: 0 }),
        biased: variance(x, { axis: 1, correction: 0 }),
      };
    });
  });

  it("nothing to divide by: the variance of one element", async () => {
    const read = await readAll(suite.device, 27, (inputs) => ({
      rows: variance(inputs.of([3, 4], [2, 1]), { axis: 1 }),
      columns: variance(inputs.of([3, 4], [1, 2]), { axis: 0 }),
    }));
    expect(read.get("rows")?.values).toBeClose([Number.NaN, Number.NaN], exact);
    expect(read.get("columns")?.values).toBeClose([Number.NaN, Number.NaN], exact);
  });

  it.each(reductions)("%s of infinities and NaN, in rows and columns", async (_name, operator) => {
    const [inf, nan] = [Number.POSITIVE_INFINITY, Number.NaN];
    const rows = [
      [inf, 1, 2, 3, 4],
      [-inf, 1, 2, 3, 4],
      [nan, 1, 2, 3, 4],
      [1, 2, 3, 4, nan],
      [-inf, -inf, -inf, -inf, -inf],
      [inf, -inf, 0, 1, 2],
      [3e38, 3e38, 3e38, 3e38, 3e38],
    ];
    // Beyond the largest f32 the order of summation shows: left out for what squares and sums.
    const used = operator === max || operator === min ? rows : rows.slice(0, -1);
    await agree(suite, 28, { rtol: 1e-6, atol: 0 }, (inputs) => {
      const x = inputs.of(used.flat(), [used.length, 5]);
      const turned = Array.from({ length: 5 }, (_, column) => used.map((row) => row[column] ?? 0));
      const t = inputs.of(turned.flat(), [5, used.length]);
      return { rows: operator(x, { axis: 1 }), columns: operator(t, { axis: 0 }) };
    });
  });

  it("over no elements: 0, 1, NaN, -infinity", async () => {
    const read = await readAll(suite.device, 29, (inputs) => {
      const x = inputs.normal([2, 0]);
      return Object.fromEntries(
        reductions
          .filter(([, operator]) => !chooses.has(operator))
          .map(([name, operator]) => [name, operator(x, { axis: 1 })]),
      );
    });
    const expected: Readonly<Record<string, number>> = {
      logSumExp: Number.NEGATIVE_INFINITY,
      mean: Number.NaN,
      prod: 1,
      variance: Number.NaN,
    };
    for (const [name, { values }] of read)
      expect(values, name).toBeClose([expected[name] ?? 0, expected[name] ?? 0], exact);
  });

  it.each(masks)("%s of masks over any axes agrees with the reference", async (_name, operator) => {
    const input = fc.record({
      seed: anySeed,
      shape: fc.tuple(fewSize, fewSize, someSize),
      axes: fc.option(fc.subarray([0, 1, 2], { minLength: 1 }), { nil: undefined }),
      keepDims: fc.boolean(),
      zeros: fc.constantFrom(0.02, 0.5, 0.98),
    });
    await holds(input, ({ seed, shape, axes, keepDims, zeros }) =>
      agree(suite, seed, exact, (inputs) => ({
        out: operator(inputs.mask(shape, zeros), { axis: axes, keepDims }),
      })),
    );
  });

  it("argmax and argmin along any axis agree with the reference", async () => {
    const input = fc.record({
      seed: anySeed,
      shape: fc.tuple(fewSize, someSize, fc.constantFrom(1, 3, 130)),
      axis: fc.integer({ min: -3, max: 2 }),
      keepDims: fc.boolean(),
    });
    await holds(input, async ({ seed, shape, axis, keepDims }) => {
      if (shape.at(axis) === 0) return;
      await agree(suite, seed, exact, (inputs) => {
        // Few levels, so that there are ties; some NaN, which never win.
        const x = inputs.of(
          Float32Array.from({ length: shape[0] * shape[1] * shape[2] }, () =>
            inputs.random.uniform() < 0.1 ? Number.NaN : inputs.random.integer(7) - 3,
          ),
          shape,
        );
        return { max: argmax(x, { axis, keepDims }), min: argmin(x, { axis, keepDims }) };
      });
    });
    await agree(suite, 30, exact, (inputs) => ({
      rows: argmin(inputs.normal([400, 130])),
      columns: argmax(inputs.normal([260, 301]), { axis: 0 }),
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
