/* oxlint-disable vitest/expect-expect -- gradientsAgree() asserts */
import { LatentkitError } from "@latentkit/core";
import { expect, it } from "vitest";
import { GradientAccumulator } from "../../autograd/accumulator.ts";
import { custom } from "../../autograd/custom.ts";
import { grad, valueAndGrad } from "../../autograd/grad.ts";
import { disposeTensors } from "../../autograd/nest.ts";
import { findNonFinite, requireFiniteLoss } from "../../autograd/non-finite.ts";
import { noGrad, stopGradient } from "../../autograd/stop.ts";
import { Tape } from "../../autograd/tape.ts";
import { add, addInto, div, mul, sub } from "../../operators/arithmetic.ts";
import { linear, matmul } from "../../operators/matmul.ts";
import { mean, sum } from "../../operators/reduce.ts";
import { exp, log, square, tanh } from "../../operators/unary.ts";
import type { Tensor } from "../../tensor.ts";
import { exact, Inputs, type Suite } from "./agree.ts";
import { codeOf } from "./code-of.ts";
import { gradientsAgree } from "./gradient-check.ts";

/** The tape and what is built on it; each operator's gradient is checked in the suite of its family. */
export function autogradSuite(suite: Suite): void {
  it("goes back through views", () =>
    gradientsAgree(suite, 1, { rtol: 1e-6, atol: 1e-7 }, (inputs) => {
      const x = inputs.normal([4, 3]);
      return { wrt: [x], forward: () => x.reshape([6, 2]).rows(1, 4) };
    }));

  it("adds up what comes back on several ways", () =>
    gradientsAgree(suite, 2, { rtol: 1e-5, atol: 1e-6 }, (inputs) => {
      const [x, y] = [inputs.normal([3, 4]), inputs.normal([3, 4])];
      return { wrt: [x, y], forward: () => add(add(mul(x, y), add(x, x)), tanh(sub(y, x))) };
    }));

  it("frees what it kept, and refuses a second use", () => {
    const { device } = suite;
    using x = device.full([2, 2], 3);
    const tape = new Tape(device);
    tape.watch(x);
    const [gradient] = device.scope(() =>
      tape.gradients(
        tape.run(() => x.rows(0, 1).reshape([2]).rows(1, 2)),
        [x],
      ),
    );
    gradient?.dispose();
    expect(codeOf(() => tape.gradients(x, [x]))).toBe("AUTOGRAD_TAPE_FREED");
    expect(codeOf(() => tape.run(() => x))).toBe("AUTOGRAD_TAPE_FREED");
    expect(codeOf(() => tape.watch(x))).toBe("AUTOGRAD_TAPE_FREED");
  });

  it("gives gradients in the structure of the parameters, and nothing else stays", async () => {
    const { device } = suite;
    const before = device.memory().liveBytes;
    const parameters = {
      layers: [
        { weight: device.tensor([1, 2, 3, 4], [2, 2]), bias: null },
        { weight: device.tensor([1, 0, 0, 1], [2, 2]), bias: device.tensor([1, 1], [2]) },
      ],
      unused: device.full([3], 5),
    };
    using x = device.tensor([1, -1], [1, 2]);
    const step = valueAndGrad((given: typeof parameters, input: Tensor, factor: number) => {
      let hidden = input;
      for (const { weight, bias } of given.layers) hidden = linear(hidden, weight, bias);
      return { loss: mul(sum(hidden), factor), hidden, note: "kept" };
    });
    const { value, gradients } = step(parameters, x, 2);
    expect(value.note).toBe("kept");
    expect(await value.loss.item()).toBe(0);
    expect(await value.hidden.floats()).toBeClose([0, 0], exact);
    expect(Object.keys(gradients)).toEqual(["layers", "unused"]);
    expect(gradients.layers[0]?.bias).toBe(null);
    expect(await gradients.layers[0]?.weight.floats()).toBeClose([2, -2, 2, -2], exact);
    expect(await gradients.layers[1]?.weight.floats()).toBeClose([-2, -2, -2, -2], exact);
    expect(await gradients.layers[1]?.bias?.floats()).toBeClose([2, 2], exact);
    expect(await gradients.unused.floats()).toBeClose([0, 0, 0], exact);
    disposeTensors([value.loss, value.hidden, gradients, parameters]);
    expect(device.memory().liveBytes - x.size * 4).toBeLessThanOrEqual(before);
  });

  it("two gradients never share memory", async () => {
    const { device } = suite;
    using a = device.full([2], 1);
    using b = device.full([2], 1);
    const gradients = grad((given: { a: Tensor; b: Tensor }) => sum(add(given.a, given.b)))({
      a,
      b,
    });
    addInto(gradients.a, gradients.a);
    expect(await gradients.b.floats()).toBeClose([1, 1], exact);
    disposeTensors(gradients);
  });

  it("outlives tensors that the function disposes", async () => {
    const { device } = suite;
    using x = device.tensor([3, 4], [2]);
    using gradient = grad((given: Tensor) => {
      using double = mul(given, 2);
      using squares = square(double);
      return sum(squares);
    })(x);
    expect(await gradient.floats()).toBeClose([24, 32], { rtol: 1e-6, atol: 0 });
  });

  it("tells what is wrong", () => {
    const { device } = suite;
    using x = device.full([2], 1);
    using ids = device.tensor(Int32Array.of(1), [1]);
    const plain = (run: (given: Tensor) => Tensor): (() => Tensor) => {
      return () => grad(run)(x);
    };
    expect(codeOf(plain((given) => mul(given, 2)))).toBe("SHAPE_MISMATCH");
    expect(codeOf(plain(() => sum(device.full([2], 1))))).toBe("AUTOGRAD_NO_DEPENDENCE");
    expect(codeOf(plain((given) => sum(stopGradient(given))))).toBe("AUTOGRAD_NO_DEPENDENCE");
    expect(codeOf(plain((given) => noGrad(device, () => sum(given))))).toBe(
      "AUTOGRAD_NO_DEPENDENCE",
    );
    using foreign = suite.wide.full([], 1);
    expect(codeOf(plain(() => foreign))).toBe("DEVICE_MISMATCH");
    expect(codeOf(plain((given) => grad((inner: Tensor) => sum(inner))(given)))).toBe(
      "AUTOGRAD_HIGHER_ORDER",
    );
    // What a program without types could do.
    const untyped = (run: (given: Tensor) => unknown): (() => Tensor) => plain(run as () => Tensor);
    expect(codeOf(untyped(async (given) => Promise.resolve(sum(given))))).toBe("AUTOGRAD_ASYNC");
    expect(
      codeOf(
        untyped(() => Promise.reject(new LatentkitError({ code: "X", message: "", fix: "" }))),
      ),
    ).toBe("AUTOGRAD_ASYNC");
    expect(codeOf(untyped(() => 3))).toBe("AUTOGRAD_LOSS");
    expect(codeOf(untyped(() => null))).toBe("AUTOGRAD_LOSS");
    expect(codeOf(() => grad(() => sum(x))([x, [x]]))).toBe("PARAMETERS_NEST");
    expect(codeOf(() => grad(() => sum(x))({ x, lr: 0.1 }))).toBe("PARAMETERS_NEST");
    expect(codeOf(() => grad(() => sum(x))([null]))).toBe("PARAMETERS_NEST");
    expect(codeOf(() => grad(() => sum(x))({ ids }))).toBe("DTYPE_MISMATCH");
    using tape = new Tape(device);
    expect(codeOf(() => tape.gradients(x, [x]))).toBe("SHAPE_MISMATCH");
    using one = device.full([], 1);
    expect(codeOf(() => tape.gradients(one, [x]))).toBe("AUTOGRAD_NOT_WATCHED");
  });

  it("in-place operators refuse what is recorded", () => {
    const { device } = suite;
    using x = device.full([2], 1);
    expect(
      codeOf(() =>
        grad((given: Tensor) => {
          addInto(given, given);
          return sum(given);
        })(x),
      ),
    ).toBe("AUTOGRAD_IN_PLACE");
  });

  it("leaves nothing behind when the function or a rule throws", () => {
    const { device } = suite;
    using x = device.full([2], 1);
    using y = device.full([3, 3], 1);
    const fault = custom({
      forward: (given: Tensor) => mul(given, 2),
      backward: () => {
        throw new LatentkitError({ code: "MINE", message: "mine", fix: "none" });
      },
    });
    expect(codeOf(() => grad((given: Tensor) => sum(fault(given)))(x))).toBe("MINE");
    expect(codeOf(() => grad((given: Tensor) => sum(matmul(exp(given), y)))(x))).toBe(
      "SHAPE_MISMATCH",
    );
    expect(device.tape).toBe(null);
    expect(device.differentiating).toBe(false);
  });

  it("stopGradient holds a value constant", async () => {
    const { device } = suite;
    using x = device.tensor([2, 5], [2]);
    using gradient = grad((given: Tensor) => sum(mul(given, stopGradient(given))))(x);
    expect(await gradient.floats()).toBeClose([2, 5], exact);
  });

  it("custom takes the gradient that it is told", async () => {
    const { device } = suite;
    const clipped = custom({
      operator: "clipped",
      forward: (x: Tensor, y: Tensor) => ({ output: mul(x, y), saved: [y] }),
      backward: (gradient, { saved: [y = gradient], needs }) => {
        expect(needs).toEqual([true, false]);
        return [mul(gradient, mul(y, 10)), null];
      },
    });
    using x = device.tensor([2, 5], [2]);
    using y = device.tensor([3, 4], [2]);
    using gradient = grad((given: Tensor) => sum(clipped(given, y)))(x);
    expect(await gradient.floats()).toBeClose([30, 40], exact);
    const through = custom({ forward: (given: Tensor) => given, backward: (given) => [given] });
    using same = grad((given: Tensor) => sum(through(given)))(x);
    expect(await same.floats()).toBeClose([1, 1], exact);
    const wrong = custom({
      forward: (given: Tensor) => exp(given),
      backward: (given) => [sum(given)],
    });
    expect(codeOf(() => grad((given: Tensor) => sum(wrong(given)))(x))).toBe("SHAPE_MISMATCH");
    const higher = custom({
      forward: (given: Tensor) => exp(given),
      backward: (given) => [grad((inner: Tensor) => sum(inner))(given)],
    });
    expect(codeOf(() => grad((given: Tensor) => sum(higher(given)))(x))).toBe(
      "AUTOGRAD_HIGHER_ORDER",
    );
    expect(
      codeOf(() =>
        grad((given: Tensor) => {
          const sly = custom({ forward: (z: Tensor) => mul(z, given), backward: (g) => [g] });
          return sum(sly(y));
        })(x),
      ),
    ).toBe("AUTOGRAD_CUSTOM_CAPTURE");
  });

  it("the mean over micro-batches is the gradient of the whole batch", async () => {
    const { device } = suite;
    using accumulator = new GradientAccumulator<{ w: Tensor }>();
    const [whole, parts] = device.scope(() => {
      const inputs = new Inputs(device, 7);
      const [x, y, w] = [inputs.normal([12, 5]), inputs.normal([12, 3]), inputs.normal([3, 5])];
      const step = grad((given: { w: Tensor }, from: number, to: number) =>
        mean(square(sub(linear(x.rows(from, to), given.w), y.rows(from, to)))),
      );
      const all = step({ w }, 0, 12);
      for (const [from, to] of [
        [0, 5],
        [5, 6],
        [6, 12],
      ] as const)
        accumulator.add(step({ w }, from, to), to - from);
      expect(accumulator.weight).toBe(12);
      return [all.w, accumulator.mean().w];
    });
    expect(await parts?.floats()).toBeClose((await whole?.floats()) ?? [], {
      rtol: 1e-5,
      atol: 1e-6,
    });
    disposeTensors([whole, parts]);
    expect(codeOf(() => accumulator.mean())).toBe("GRADIENTS_NONE");
  });

  it("finds the operator that made the first NaN or infinity", async () => {
    const { device } = suite;
    using x = device.tensor([1, 0, 4], [3]);
    const forward = await findNonFinite((given: Tensor) => sum(square(log(given))), x);
    expect(forward).toMatchObject({ operator: "log", phase: "forward", rule: null });
    expect(forward?.outputs).toEqual([{ shape: [3], size: 3, nonFinite: 1 }]);
    expect(forward?.inputs).toEqual([{ shape: [3], size: 3, nonFinite: 0 }]);
    expect(forward?.message).toMatch(/log .*1 of 3 values of \[3\], from \[3\] \(all finite\)/);
    const backward = await findNonFinite(
      ({ given }: { given: Tensor }) => {
        const scaled = custom({
          operator: "mine",
          forward: (z: Tensor) => mul(z, 2),
          backward: (gradient) => [div(gradient, 0)],
        });
        return { loss: sum(scaled(given)) };
      },
      { given: x },
    );
    expect(backward).toMatchObject({ operator: "div", phase: "backward", rule: "mine" });
    using bad = device.tensor([1, Number.NaN], [2]);
    const before = await findNonFinite(({ w }: { w: Tensor }) => sum(w), { w: bad });
    expect(before).toMatchObject({ operator: 'parameter "w"', phase: "parameters" });
    expect(await findNonFinite((given: Tensor) => sum(square(given)), x)).toBe(null);
    expect(codeOf(() => requireFiniteLoss(Number.NaN, "step 3", forward))).toBe("NON_FINITE_LOSS");
    expect(codeOf(() => requireFiniteLoss(1))).toBe(null);
    expect(device.observer).toBe(null);
  });
}
