/* oxlint-disable vitest/expect-expect -- gradientsAgree() and holds() assert */
import { sizeOf } from "@latentkit/core";
import fc from "fast-check";
import { expect, it } from "vitest";
import { Tape } from "../../autograd/tape.ts";
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
import type { Tensor } from "../../tensor.ts";
import type { Tolerance } from "../close.ts";
import { anySeed, exact, fewSize, holds, type Suite } from "./agree.ts";
import { gradientsAgree } from "./gradient-check.ts";

const close: Tolerance = { rtol: 2e-5, atol: 1e-5 };

const reductions: readonly (readonly [string, (x: Tensor, options: ReduceOptions) => Tensor])[] = [
  ["logSumExp", logSumExp],
  ["max", max],
  ["mean", mean],
  ["min", min],
  ["norm", norm],
  ["norm of order 1", (x, options) => norm(x, { ...options, order: 1 })],
  ["prod", prod],
  ["sum", sum],
  ["sumOfSquares", sumOfSquares],
  ["variance", (x, options) => variance(x, { ...options, correction: 0 })],
];

export function reduceGradientSuite(suite: Suite): void {
  it.each(reductions)("gradient of %s over any axes", async (_name, operator) => {
    const input = fc.record({
      seed: anySeed,
      shape: fc.tuple(
        fc.constantFrom(1, 2, 3),
        fc.constantFrom(1, 2, 5),
        fc.constantFrom(1, 3),
        fc.constantFrom(1, 4, 9),
      ),
      axes: fc.option(fc.subarray([0, 1, 2, 3], { minLength: 1 }), { nil: undefined }),
      keepDims: fc.boolean(),
    });
    await holds(
      input,
      ({ seed, shape, axes, keepDims }) =>
        gradientsAgree(suite, seed, close, (inputs) => {
          // Half a step between any two: finite differences do not change which is the largest.
          const order = inputs.random.permutation(sizeOf(shape));
          const x = inputs.of(
            Float32Array.from(order, (rank) => (rank + 0.6) / order.length + 0.4),
            shape,
          );
          return { wrt: [x], forward: () => operator(x, { axis: axes, keepDims }) };
        }),
      20,
    );
  });

  it("unbiased variance", () =>
    gradientsAgree(suite, 41, close, (inputs) => {
      const x = inputs.normal([3, 11, 2]);
      return { wrt: [x], forward: () => variance(x, { axis: [0, 2] }) };
    }));

  it("empty tensors have empty gradients", async () => {
    await holds(fc.record({ seed: anySeed, rows: fewSize }), ({ seed, rows }) =>
      gradientsAgree(suite, seed, close, (inputs) => {
        const x = inputs.normal([rows, 0, 3]);
        return { wrt: [x], forward: () => sum(x, { axis: [0, 1] }) };
      }),
    );
  });

  it.each([
    ["max: equal largest share evenly", max, [1, 4, 4, 2, 4, 4], [0, 0.5, 0.5, 0, 0.5, 0.5]],
    ["min: equal smallest share evenly", min, [1, 1, 1, 5, 1, 7], [1 / 3, 1 / 3, 1 / 3, 0, 1, 0]],
    ["prod: one zero", prod, [2, 0, 4, 1, 2, 3], [0, 8, 0, 6, 3, 2]],
    ["prod: two zeros", prod, [0, 0, 4, 1, 1, 1], [0, 0, 0, 1, 1, 1]],
    ["norm: of zeros", norm, [0, 0, 0, 0, 3, 4], [0, 0, 0, 0, 0.6, 0.8]],
    [
      "logSumExp: of only -infinity",
      logSumExp,
      [-Infinity, -Infinity, -Infinity, 0, 0, -Infinity],
      [0, 0, 0, 0.5, 0.5, 0],
    ],
  ] as const)("%s", async (_name, operator, values, expected) => {
    const { device } = suite;
    const gradients = device.scope(() => {
      const x = device.tensor(values, [2, 3]);
      using tape = new Tape(device);
      tape.watch(x);
      const out = tape.run(() => operator(x, { axis: 1 }));
      return tape.gradients(out, [x], device.full([2], 1));
    });
    const [gradient] = await Promise.all(gradients.map((tensor) => tensor.floats()));
    for (const tensor of gradients) tensor.dispose();
    expect(gradient).toBeClose(expected, { rtol: 2e-7, atol: 0 });
  });

  it("ties over axes that are no neighbours count together", async () => {
    const { device } = suite;
    const gradients = device.scope(() => {
      const x = device.tensor([5, 5, 1, 0, 2, 5, 9, 9], [2, 2, 2]);
      using tape = new Tape(device);
      tape.watch(x);
      const out = tape.run(() => max(x, { axis: [0, 2] }));
      return tape.gradients(out, [x], device.tensor([3, 4], [2]));
    });
    const [gradient] = await Promise.all(gradients.map((tensor) => tensor.floats()));
    for (const tensor of gradients) tensor.dispose();
    expect(gradient).toBeClose([1, 1, 0, 0, 0, 1, 2, 2], exact);
  });
}
