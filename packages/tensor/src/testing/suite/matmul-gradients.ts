/* oxlint-disable vitest/expect-expect -- gradientsAgree() asserts */
import type { Shape } from "@latentkit/core";
import fc from "fast-check";
import { expect, it } from "vitest";
import { Tape } from "../../autograd/tape.ts";
import type { Activation } from "../../backend.ts";
import { addMatmul, linear, matmul, outer } from "../../operators/matmul.ts";
import type { Tolerance } from "../close.ts";
import { anySeed, holds, readAll, type Suite } from "./agree.ts";
import { gradientsAgree } from "./gradient-check.ts";

const sizes = fc.constantFrom(0, 1, 2, 3, 7, 9, 17);
const activations: readonly Activation[] = ["gelu", "geluTanh", "relu", "silu"];

/** Products of normals are bilinear: the differences are exact up to f64's rounding, the device's gradient is a sum in f32. */
const bilinear: Tolerance = { rtol: 2e-5, atol: 2e-5 };

/** Leading axes of a and b that broadcast. */
const leadings: readonly (readonly [Shape, Shape])[] = [
  [[], []],
  [[3], [3]],
  [[3], []],
  [[], [3]],
  [[2, 3], [3]],
  [
    [2, 1],
    [1, 3],
  ],
  [
    [2, 1, 2],
    [3, 1],
  ],
  [[1], [4]],
  [[4], [1]],
  [
    [2, 2, 2],
    [2, 1, 2],
  ],
  [[0], [1]],
  [[2, 0], []],
];

/** Gradients of matrix products against finite differences, and what they keep. */
export function matmulGradientSuite(suite: Suite): void {
  it("matmul's gradients are right in all transpositions, whatever is broadcast", async () => {
    const input = fc.record({
      seed: anySeed,
      m: sizes,
      n: sizes,
      k: sizes,
      transposeA: fc.boolean(),
      transposeB: fc.boolean(),
      alpha: fc.constantFrom(1, -0.5),
      leading: fc.constantFrom(...leadings),
    });
    await holds(
      input,
      ({ seed, m, n, k, transposeA, transposeB, alpha, leading: [ofA, ofB] }) =>
        gradientsAgree(suite, seed, bilinear, (inputs) => {
          const a = inputs.normal([...ofA, ...(transposeA ? [k, m] : [m, k])]);
          const b = inputs.normal([...ofB, ...(transposeB ? [n, k] : [k, n])]);
          return {
            wrt: [a, b],
            forward: () => matmul(a, b, { transposeA, transposeB, alpha }),
          };
        }),
      60,
    );
  });

  it.each<readonly [Shape, Shape]>([
    [[5], [5]],
    [[5], [5, 3]],
    [[4, 5], [5]],
    [[2, 4, 5], [5]],
    [[5], [2, 5, 3]],
  ])("vectors have gradients: %j times %j", (ofA, ofB) =>
    gradientsAgree(suite, 1, bilinear, (inputs) => {
      const [a, b] = [inputs.normal(ofA), inputs.normal(ofB)];
      return { wrt: [a, b], forward: () => matmul(a, b) };
    }),
  );

  it("outer has gradients", () =>
    gradientsAgree(suite, 2, bilinear, (inputs) => {
      const [a, b] = [inputs.normal([6]), inputs.normal([9])];
      return { wrt: [a, b], forward: () => outer(a, b) };
    }));

  it.each([[[7]], [[3, 7]], [[2, 3, 7]], [[0, 7]], [[2, 0]]])(
    "linear's gradients are right for x of shape %j",
    (shape) =>
      gradientsAgree(suite, 3, bilinear, (inputs) => {
        const x = inputs.normal(shape);
        const weight = inputs.normal([5, shape[shape.length - 1] ?? 0]);
        const bias = inputs.normal([5]);
        return { wrt: [x, weight, bias], forward: () => linear(x, weight, bias) };
      }),
  );

  it.each(activations)("the gradient goes through the activation: %s", (activation) =>
    // The seed keeps all sums away from relu's kink.
    gradientsAgree(suite, 5, { rtol: 1e-4, atol: 1e-4 }, (inputs) => {
      const [x, weight, bias] = [inputs.normal([6, 8]), inputs.normal([9, 8]), inputs.normal([9])];
      return { wrt: [x, weight, bias], forward: () => linear(x, weight, bias, { activation }) };
    }),
  );

  it("an operand used twice gets both gradients", () =>
    gradientsAgree(suite, 6, bilinear, (inputs) => {
      const x = inputs.normal([7, 5]);
      return { wrt: [x], forward: () => matmul(x, x, { transposeB: true }) };
    }));

  it.each(activations)("recorded or not, %s(x W + b) has the same bits", async (activation) => {
    const read = await readAll(suite.device, 7, (inputs) => {
      const [x, weight, bias] = [
        inputs.normal([37, 70], 0.2),
        inputs.normal([133, 70]),
        inputs.normal([133]),
      ];
      using tape = new Tape(inputs.device);
      tape.watch(weight);
      return {
        plain: linear(x, weight, bias, { activation }),
        recorded: tape.run(() => linear(x, weight, bias, { activation })),
      };
    });
    expect(read.get("recorded")).toEqual(read.get("plain"));
  });

  it("keeps only what the gradients asked for need", () => {
    const { device } = suite;
    device.scope(() => {
      const x = device.full([64, 32], 1);
      const weight = device.full([16, 32], 1);
      using tape = new Tape(device);
      tape.watch(x);
      const out = tape.run(() => matmul(x, weight, { transposeB: true }));
      const before = device.memory().liveBytes;
      // The frozen weight is what x's gradient reads; x itself may go.
      x.dispose();
      expect(device.memory().liveBytes).toBe(before - 64 * 32 * 4);
      out.dispose();
    });
  });

  it("addMatmul does not write into what a tape follows", () => {
    const { device } = suite;
    device.scope(() => {
      const [target, a] = [device.zeros([2, 2]), device.zeros([2, 2])];
      using tape = new Tape(device);
      tape.watch(target);
      expect(() => tape.run(() => addMatmul(target, a, a))).toThrow(/in place/);
    });
  });
}
