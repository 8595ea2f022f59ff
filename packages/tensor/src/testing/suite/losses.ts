/* oxlint-disable vitest/expect-expect -- agree(), gradientsAgree() and holds() assert */
import fc from "fast-check";
import { expect, it } from "vitest";
import { binaryCrossEntropy, crossEntropy, klDivergence, mseLoss } from "../../operators/losses.ts";
import type { Tensor } from "../../tensor.ts";
import type { Tolerance } from "../close.ts";
import {
  agree,
  anySeed,
  exact,
  fewSize,
  holds,
  type Inputs,
  readAll,
  rounded,
  someSize,
  type Suite,
} from "./agree.ts";
import { gradientsAgree } from "./gradient-check.ts";

const slopes: Tolerance = { rtol: 2e-5, atol: 2e-5 };

const variants = [
  {},
  { labelSmoothing: 0.2 },
  { zLoss: 0.1 },
  { labelSmoothing: 1, zLoss: 0.05, ignoreIndex: 2 },
] as const;

/** Random targets, the second of them ignored. */
function targetsOf(inputs: Inputs, rows: number, classes: number): Tensor {
  const targets = Int32Array.from({ length: rows }, (_, row) =>
    row === 1 ? -100 : inputs.random.integer(classes),
  );
  return inputs.of(targets, [rows]);
}

export function lossSuite(suite: Suite): void {
  it("crossEntropy agrees with the reference, with every option", () =>
    holds(
      fc.record({
        seed: anySeed,
        rows: fewSize,
        classes: someSize,
        scale: fc.constantFrom(1, 30),
        variant: fc.constantFrom(...variants),
        reduction: fc.constantFrom("none", "mean", "sum"),
      }),
      ({ seed, rows, classes, scale, variant, reduction }) =>
        agree(suite, seed, { rtol: 1e-5, atol: 4e-6 * scale }, (inputs) => {
          const logits = inputs.normal([rows, classes], scale);
          const targets = targetsOf(inputs, rows, classes);
          return { out: crossEntropy(logits, targets, { ...variant, reduction }) };
        }),
      40,
    ));

  it("crossEntropy of even logits is log of their number; ignored targets give 0", async () => {
    const read = await readAll(suite.device, 46, (inputs) => {
      const logits = inputs.of(new Float32Array(4 * 7), [4, 7]);
      const targets = inputs.of(Int32Array.of(3, -1, 0, 6), [4]);
      return {
        none: crossEntropy(logits, targets),
        ignoring: crossEntropy(logits, targets, { ignoreIndex: 0 }),
        mean: crossEntropy(logits, targets, { reduction: "mean" }),
        sum: crossEntropy(logits, targets, { reduction: "sum", ignoreIndex: 6 }),
        z: crossEntropy(logits, targets, { zLoss: 1 }),
      };
    });
    const even = Math.log(7);
    const close: Tolerance = { rtol: 1e-6, atol: 0 };
    expect(read.get("none")?.values).toBeClose([even, 0, even, even], close);
    expect(read.get("ignoring")?.values).toBeClose([even, 0, 0, even], close);
    expect(read.get("mean")).toMatchObject({ shape: [] });
    expect(read.get("mean")?.values).toBeClose([even], close);
    expect(read.get("sum")?.values).toBeClose([2 * even], close);
    const squared = even + even ** 2;
    expect(read.get("z")?.values).toBeClose([squared, 0, squared, squared], close);
  });

  it("crossEntropy without any target is 0, its mean NaN", async () => {
    const read = await readAll(suite.device, 47, (inputs) => {
      const logits = inputs.normal([2, 5]);
      const targets = inputs.of(Int32Array.of(-1, -100), [2]);
      return {
        none: crossEntropy(logits, targets),
        mean: crossEntropy(logits, targets, { reduction: "mean" }),
      };
    });
    expect(read.get("none")?.values).toBeClose([0, 0], exact);
    expect(read.get("mean")?.values).toBeClose([Number.NaN], exact);
  });

  it("crossEntropy stays accurate where the loss is small and the logits are large", async () => {
    const read = await readAll(suite.device, 48, (inputs) => ({
      out: crossEntropy(
        inputs.of([10_000, 9988, 9980, -3e38, Number.NEGATIVE_INFINITY], [1, 5]),
        inputs.of(Int32Array.of(0), [1]),
      ),
    }));
    const exactly = Math.log1p(Math.exp(-12) + Math.exp(-20));
    expect(read.get("out")?.values).toBeClose([exactly], { rtol: 1e-2, atol: 0 });
  });

  it("a target beyond the classes gives NaN, in its row alone, and reads nothing beyond", async () => {
    const { device } = suite;
    const run = (inputs: Inputs) => {
      const logits = inputs.of([1, 2, 3, 4, 5, 6], [2, 3]);
      const targets = inputs.of(Int32Array.of(2_000_000_000, 1), [2]);
      const [statistics, dLogits] = [device.empty([2, 2]), device.empty([2, 3])];
      const out = device.empty([2]);
      const plan = { rows: 2, columns: 3, ignoreIndex: -100, labelSmoothing: 0, zLoss: 0 };
      const { kernels } = device.backend;
      const ones = device.full([2], 1);
      kernels.crossEntropyRows(logits.slice, targets.slice, plan, out.slice, statistics.slice);
      kernels.crossEntropyGradientRows(
        logits.slice,
        targets.slice,
        statistics.slice,
        ones.slice,
        plan,
        dLogits.slice,
      );
      return { out, dLogits };
    };
    const read = await readAll(device, 49, run);
    const lost = Number.NaN;
    const total = Math.exp(-2) + Math.exp(-1) + 1;
    expect(read.get("out")?.values).toBeClose([lost, Math.log(total) + 1], rounded);
    expect(read.get("dLogits")?.values).toBeClose(
      [lost, lost, lost, Math.exp(-2) / total, Math.exp(-1) / total - 1, 1 / total],
      { rtol: 1e-6, atol: 1e-7 },
    );
  });

  it("gradients of crossEntropy equal differences, with every option", () =>
    holds(
      fc.record({
        seed: anySeed,
        rows: fc.constantFrom(1, 2, 5),
        classes: fc.constantFrom(1, 3, 4, 9, 33),
        variant: fc.constantFrom(...variants),
        reduction: fc.constantFrom("none", "mean", "sum"),
      }),
      ({ seed, rows, classes, variant, reduction }) =>
        gradientsAgree(suite, seed, slopes, (inputs) => {
          const logits = inputs.normal([rows, classes], 2);
          // The first target counts, whatever is ignored: a mean over no rows has no gradient.
          const first = inputs.of(Int32Array.of(0), [1]);
          const targets = rows === 1 ? first : targetsOf(inputs, rows, Math.min(2, classes));
          return {
            wrt: [logits],
            forward: () => crossEntropy(logits, targets, { ...variant, reduction }),
          };
        }),
      20,
    ));

  it("a vocabulary's width agrees, forward and back", () =>
    agree(suite, 50, { rtol: 2e-5, atol: 2e-6 }, (inputs) => {
      const { device } = inputs;
      const plan = {
        rows: 9,
        columns: 20_003,
        ignoreIndex: -100,
        labelSmoothing: 0.1,
        zLoss: 1e-3,
      };
      const logits = inputs.normal([plan.rows, plan.columns], 4);
      const targets = targetsOf(inputs, plan.rows, plan.columns);
      const [out, statistics] = [device.empty([plan.rows]), device.zeros([plan.rows, 2])];
      const weights = inputs.normal([plan.rows]);
      const dLogits = device.empty([plan.rows, plan.columns]);
      const { kernels } = device.backend;
      kernels.crossEntropyRows(logits.slice, targets.slice, plan, out.slice, statistics.slice);
      kernels.crossEntropyGradientRows(
        logits.slice,
        targets.slice,
        statistics.slice,
        weights.slice,
        plan,
        dLogits.slice,
      );
      return { out, statistics, dLogits };
    }));

  it("a row whose largest logit comes late, or which begins with masked ones, agrees", () =>
    agree(suite, 51, { rtol: 2e-6, atol: 1e-6 }, (inputs) => {
      const rising = Float32Array.from({ length: 20_000 }, (_, index) => index / 500);
      const masked = rising.map((value, index) =>
        index < 9000 ? Number.NEGATIVE_INFINITY : value,
      );
      const logits = inputs.of(Float32Array.of(...rising, ...masked), [2, 20_000]);
      return { out: crossEntropy(logits, inputs.of(Int32Array.of(19_999, 12_345), [2])) };
    }));

  it("the other losses agree with the reference, and their gradients with differences", async () => {
    const losses = {
      klDivergence: (a: Tensor, b: Tensor) => klDivergence(a, b),
      mse: (a: Tensor, b: Tensor) => mseLoss(a, b),
      squares: (a: Tensor, b: Tensor) => mseLoss(a, b, { reduction: "none" }),
      binary: (a: Tensor, b: Tensor) => binaryCrossEntropy(a, b, { reduction: "sum" }),
    };
    for (const loss of Object.values(losses)) {
      await agree(suite, 52, { rtol: 1e-5, atol: 1e-6 }, (inputs) => ({
        out: loss(inputs.normal([3, 9], 2), inputs.normal([3, 9])),
      }));
      await gradientsAgree(suite, 53, slopes, (inputs) => {
        const [a, b] = [inputs.normal([3, 5]), inputs.normal([3, 5])];
        return { wrt: [a, b], forward: () => loss(a, b) };
      });
    }
  });

  it("klDivergence of equal distributions is 0, whatever the logits' shift", async () => {
    const read = await readAll(suite.device, 54, (inputs) => {
      const logits = inputs.of([1, 2, 3, 4], [1, 4]);
      const shifted = inputs.of([11, 12, 13, 14], [1, 4]);
      return { out: klDivergence(logits, shifted) };
    });
    expect(read.get("out")?.values).toBeClose([0], { rtol: 0, atol: 1e-6 });
  });
}
