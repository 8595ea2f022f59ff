/* oxlint-disable vitest/expect-expect -- gradientsAgree() and holds() assert */
import fc from "fast-check";
import { expect, it } from "vitest";
import { Tape } from "../../autograd/tape.ts";
import type { UnaryGradientOperator } from "../../backend.ts";
import {
  add,
  addInto,
  affine,
  div,
  maximum,
  minimum,
  mul,
  pow,
  sub,
} from "../../operators/arithmetic.ts";
import { where } from "../../operators/compare.ts";
import { geluMul, geluTanhMul, siluMul } from "../../operators/gated.ts";
import { abs, clamp, log, log1p, reciprocal, relu, rsqrt, sqrt } from "../../operators/unary.ts";
import type { Tensor } from "../../tensor.ts";
import type { Tolerance } from "../close.ts";
import {
  agree,
  anySeed,
  anySize,
  exact,
  fewSize,
  holds,
  type Inputs,
  type Suite,
} from "./agree.ts";
import { unaries } from "./elementwise.ts";
import { gradientsAgree } from "./gradient-check.ts";

/** Some roundings of f32 around gradients of order 1. */
const close: Tolerance = { rtol: 1e-5, atol: 3e-6 };

/** Where the numbers have to lie so that the slopes exist and stay of order 1. */
const positive: ReadonlySet<(x: Tensor) => Tensor> = new Set([log, log1p, reciprocal, rsqrt, sqrt]);

const gradientOperators: readonly UnaryGradientOperator[] = [
  "abs",
  "cos",
  "erf",
  "exp",
  "expm1",
  "gelu",
  "geluTanh",
  "log",
  "log1p",
  "reciprocal",
  "relu",
  "rsqrt",
  "sigmoid",
  "silu",
  "sin",
  "softplus",
  "sqrt",
  "square",
  "tanh",
];

/** Numbers away from 0, where some functions have kinks and poles. */
function awayFromZero(inputs: Inputs, shape: readonly number[]): Tensor {
  const magnitude = inputs.uniform(shape, 0.3, 2.5);
  return where(inputs.mask(shape), magnitude, mul(magnitude, -1));
}

export function elementwiseGradientSuite(suite: Suite): void {
  it.each(unaries)("gradient of %s", async (_name, operator) => {
    await holds(
      fc.record({ seed: anySeed, size: anySize }),
      ({ seed, size }) =>
        gradientsAgree(suite, seed, close, (inputs) => {
          const x = positive.has(operator)
            ? inputs.uniform([size], 0.4, 3)
            : awayFromZero(inputs, [size]);
          return { wrt: [x], forward: () => operator(x) };
        }),
      8,
    );
  });

  it("gradient kernels of long tensors, which threads divide, agree with the reference", async () => {
    const length = 70_001;
    for (const operator of gradientOperators) {
      await agree(suite, 31, close, (inputs) => {
        const { kernels } = inputs.device.backend;
        const [saved, dOut] = [inputs.uniform([length], 0.4, 3), inputs.normal([length])];
        const dx = inputs.device.empty([length]);
        kernels.unaryGradient(operator, saved.slice, dOut.slice, dx.slice);
        // Onto the incoming gradient.
        kernels.unaryGradient(operator, saved.slice, dOut.slice, dOut.slice);
        return { dx, dOut };
      });
    }
    for (const activation of ["gelu", "geluTanh", "silu"] as const) {
      await agree(suite, 38, close, (inputs) => {
        const { device } = inputs;
        const [gate, up, dOut] = [
          inputs.normal([length], 3),
          inputs.normal([length]),
          inputs.normal([length]),
        ];
        const [dGate, dUp] = [device.empty([length]), device.empty([length])];
        device.backend.kernels.gatedMulGradient(
          activation,
          gate.slice,
          up.slice,
          dOut.slice,
          dGate.slice,
          dUp.slice,
        );
        return { dGate, dUp };
      });
    }
  });

  it("gradients at 0 and beyond: relu, abs and clamp", async () => {
    const values = [-2, -0, 0, 1, 3, Number.NaN];
    const expected = {
      relu: [0, 0, 0, 1, 1, 1],
      abs: [-1, 0, 0, 1, 1, Number.NaN],
      clamp: [0, 1, 1, 1, 0, 0],
    };
    for (const [name, operator] of [
      ["relu", relu],
      ["abs", abs],
      ["clamp", (x: Tensor) => clamp(x, { low: 0, high: 1 })],
    ] as const) {
      const gradient = await gradientOf(suite, values, operator);
      expect(gradient, name).toBeClose(expected[name], exact);
    }
  });

  it.each([
    ["clamp", (x: Tensor) => clamp(x, { low: -1, high: 1.5 })],
    ["clamp from below", (x: Tensor) => clamp(x, { low: 0.1 })],
    ["affine", (x: Tensor) => affine(x, { factor: -1.5, bias: 2 })],
    ["pow(x, 3)", (x: Tensor) => pow(x, 3)],
    ["pow(x, -2)", (x: Tensor) => pow(x, -2)],
    ["pow(x, 1)", (x: Tensor) => pow(x, 1)],
    ["pow(x, 0)", (x: Tensor) => pow(x, 0)],
    ["pow(|x|, 0.7)", (x: Tensor) => pow(abs(x), 0.7)],
    ["numbers on either side", (x: Tensor) => div(2, add(mul(sub(3, x), x), maximum(x, 50)))],
  ] as const)("gradient of %s", (_name, operator) =>
    gradientsAgree(suite, 32, { rtol: 3e-5, atol: 1e-5 }, (inputs) => {
      const x = awayFromZero(inputs, [67]);
      return { wrt: [x], forward: () => operator(x) };
    }),
  );

  it.each([
    ["siluMul", siluMul],
    ["geluMul", geluMul],
    ["geluTanhMul", geluTanhMul],
  ] as const)("gradients of %s", async (_name, operator) => {
    await holds(
      fc.record({ seed: anySeed, size: anySize }),
      ({ seed, size }) =>
        gradientsAgree(suite, seed, close, (inputs) => {
          const [gate, up] = [inputs.normal([size], 2), inputs.normal([size])];
          return { wrt: [gate, up], forward: () => operator(gate, up) };
        }),
      8,
    );
    // Either alone: the other's is not computed.
    for (const which of [0, 1])
      await gradientsAgree(suite, 33, close, (inputs) => {
        const pair = [inputs.normal([19], 2), inputs.normal([19])] as const;
        return { wrt: [pair[which] ?? pair[0]], forward: () => operator(...pair) };
      });
  });

  it.each([
    ["add", add],
    ["sub", sub],
    ["mul", mul],
    ["div", div],
    ["maximum", maximum],
    ["minimum", minimum],
  ] as const)("gradients of %s are summed over what was broadcast", async (_name, operator) => {
    const shapes = fc.record({
      seed: anySeed,
      outer: fewSize,
      middle: fewSize,
      inner: fc.constantFrom(1, 4, 7),
      left: fc.tuple(fc.boolean(), fc.boolean(), fc.boolean()),
      right: fc.tuple(fc.boolean(), fc.boolean(), fc.boolean()),
      drop: fc.nat(2),
    });
    await holds(
      shapes,
      ({ seed, outer, middle, inner, left, right, drop }) =>
        gradientsAgree(suite, seed, { rtol: 2e-5, atol: 2e-5 }, (inputs) => {
          const shape = [outer, middle, inner];
          const a = awayFromZero(
            inputs,
            shape.map((size, axis) => (left[axis] === true ? 1 : size)),
          );
          const b = awayFromZero(
            inputs,
            shape.map((size, axis) => (right[axis] === true ? 1 : size)).slice(drop),
          );
          return { wrt: [a, b], forward: () => operator(a, b) };
        }),
      30,
    );
  });

  it("gradients of one operand alone, and of a tensor with itself", async () => {
    for (const operator of [add, sub, mul, div, maximum, minimum]) {
      await gradientsAgree(suite, 34, close, (inputs) => {
        const [a, b] = [awayFromZero(inputs, [5, 3]), awayFromZero(inputs, [3])];
        return { wrt: [a], forward: () => operator(a, b) };
      });
      await gradientsAgree(suite, 35, close, (inputs) => {
        const [a, b] = [awayFromZero(inputs, [5, 3]), awayFromZero(inputs, [3])];
        return { wrt: [b], forward: () => operator(a, b) };
      });
    }
    await gradientsAgree(suite, 36, close, (inputs) => {
      const x = awayFromZero(inputs, [9]);
      return { wrt: [x], forward: () => div(mul(x, x), add(x, 7)) };
    });
  });

  it("equal operands of maximum and minimum get half of the gradient each", async () => {
    const { device } = suite;
    for (const operator of [maximum, minimum]) {
      const gradients = device.scope(() => {
        const [a, b] = [device.tensor([1, 2, 3], [3]), device.tensor([1, 5, 0], [3])];
        using tape = new Tape(device);
        tape.watch(a);
        tape.watch(b);
        const out = tape.run(() => operator(a, b));
        return tape.gradients(out, [a, b], device.full([3], 1));
      });
      const [toA, toB] = await Promise.all(gradients.map((gradient) => gradient.floats()));
      for (const gradient of gradients) gradient.dispose();
      const larger = operator === maximum ? toA : toB;
      const smaller = operator === maximum ? toB : toA;
      expect(larger).toBeClose([0.5, 0, 1], exact);
      expect(smaller).toBeClose([0.5, 1, 0], exact);
    }
  });

  it("gradients of where go to what was chosen", async () => {
    await holds(
      fc.record({ seed: anySeed, rows: fewSize, columns: fc.constantFrom(1, 5, 16) }),
      ({ seed, rows, columns }) =>
        gradientsAgree(suite, seed, close, (inputs) => {
          const condition = inputs.mask([rows, columns]);
          const [a, b] = [inputs.normal([rows, 1]), inputs.normal([columns])];
          return { wrt: [a, b], forward: () => where(condition, a, b) };
        }),
      12,
    );
    await gradientsAgree(suite, 37, close, (inputs) => {
      const [condition, x] = [inputs.mask([21]), inputs.normal([21])];
      return { wrt: [x], forward: () => where(condition, 0, x) };
    });
  });

  it("addInto refuses a target whose gradient is being recorded", () => {
    const { device } = suite;
    device.scope(() => {
      const x = device.full([3], 1);
      using tape = new Tape(device);
      tape.watch(x);
      tape.run(() => {
        expect(() => addInto(x, x)).toThrow(/in place/);
        expect(() => addInto(mul(x, 2), x)).toThrow(/in place/);
        addInto(device.full([3], 1), device.full([3], 1));
      });
    });
  });
}

async function gradientOf(
  { device }: Suite,
  values: readonly number[],
  operator: (x: Tensor) => Tensor,
): Promise<Float32Array> {
  const gradients = device.scope(() => {
    const x = device.tensor(values, [values.length]);
    using tape = new Tape(device);
    tape.watch(x);
    const out = tape.run(() => operator(x));
    return tape.gradients(out, [x], device.full([values.length], 1));
  });
  const [gradient] = await Promise.all(gradients.map((tensor) => tensor.floats()));
  for (const tensor of gradients) tensor.dispose();
  return gradient ?? new Float32Array();
}
