/* oxlint-disable vitest/expect-expect -- agree(), holds() and check() assert */
import fc from "fast-check";
import { expect, it } from "vitest";
import type { BinaryOperator } from "../../backend.ts";
import {
  abs,
  add,
  addInto,
  affine,
  div,
  exp,
  gelu,
  geluTanh,
  log,
  maximum,
  minimum,
  mul,
  neg,
  relu,
  rsqrt,
  sigmoid,
  silu,
  siluMul,
  sqrt,
  square,
  sub,
  tanh,
} from "../../operators/elementwise.ts";
import { fill } from "../../operators/layout.ts";
import type { Tensor } from "../../tensor.ts";
import type { Tolerance } from "../close.ts";
import {
  agree,
  anySeed,
  anySize,
  exact,
  fewSize,
  holds,
  readAll,
  rounded,
  type Suite,
} from "./agree.ts";

/** Polynomial approximations of transcendental functions may be a few ulp off. */
const approximate: Tolerance = { rtol: 4e-6, atol: 4e-7 };

const unaries: readonly (readonly [string, (x: Tensor) => Tensor, Tolerance])[] = [
  ["abs", abs, exact],
  ["exp", exp, approximate],
  ["gelu", gelu, approximate],
  ["geluTanh", geluTanh, approximate],
  ["log", log, approximate],
  ["neg", neg, exact],
  ["relu", relu, exact],
  ["rsqrt", rsqrt, rounded],
  ["sigmoid", sigmoid, approximate],
  ["silu", silu, approximate],
  ["sqrt", sqrt, rounded],
  ["square", square, rounded],
  ["tanh", tanh, approximate],
];

const binaries: readonly (readonly [
  BinaryOperator,
  (a: Tensor | number, b: Tensor | number) => Tensor,
])[] = [
  ["add", add],
  ["div", div],
  ["max", maximum],
  ["min", minimum],
  ["mul", mul],
  ["sub", sub],
];

const edgeValues = [
  Number.NaN,
  Number.POSITIVE_INFINITY,
  0,
  1e-30,
  -1e-30,
  1,
  -1,
  3e38,
  -3e38,
  100,
  -100,
  88,
  -88,
  20,
  -20,
  1e-3,
  -1e-3,
];

export function elementwiseSuite(suite: Suite): void {
  it.each(unaries)("%s agrees with the reference", async (_name, operator, tolerance) => {
    await holds(
      fc.record({ seed: anySeed, size: anySize, scale: fc.constantFrom(0.01, 1, 10) }),
      ({ seed, size, scale }) =>
        agree(suite, seed, tolerance, (inputs) => ({
          out: operator(inputs.normal([size], scale)),
        })),
    );
  });

  it.each(unaries)(
    "%s treats NaN, infinity and extremes as the reference does",
    async (name, operator, tolerance) => {
      // The gated functions at -infinity are a matter of taste (0 or NaN); nothing may depend on them.
      const values = ["gelu", "geluTanh", "silu"].includes(name)
        ? edgeValues
        : [...edgeValues, Number.NEGATIVE_INFINITY];
      await agree(suite, 1, tolerance, (inputs) => ({
        out: operator(inputs.of(Float32Array.from(values), [values.length])),
      }));
    },
  );

  it("unary kernels may write onto their input", async () => {
    await agree(suite, 2, approximate, (inputs) => {
      const x = inputs.normal([37]);
      inputs.device.backend.kernels.unary("silu", x.slice, x.slice);
      return { x };
    });
  });

  it.each(binaries)("%s broadcasts as the reference does", async (_name, operator) => {
    const shapes = fc
      .array(fewSize, { maxLength: 3 })
      .chain((outer) => fc.tuple(fc.constant(outer), anySize))
      .map(([outer, inner]) => [...outer, inner]);
    const masks = fc.array(fc.boolean(), { minLength: 8, maxLength: 8 });
    const input = fc.record({
      seed: anySeed,
      shape: shapes,
      left: masks,
      right: masks,
      drop: fc.nat(3),
    });
    await holds(
      input,
      ({ seed, shape, left, right, drop }) =>
        agree(suite, seed, rounded, (inputs) => {
          const a = shape.map((size, axis) => (left[axis] === true ? size : 1));
          const b = shape
            .map((size, axis) => (right[axis] === true ? size : 1))
            .slice(Math.min(drop, shape.length - 1));
          return { out: operator(inputs.normal(a), inputs.normal(b)) };
        }),
      60,
    );
  });

  it.each(binaries)("%s takes numbers on either side", async (_name, operator) => {
    await agree(suite, 3, rounded, (inputs) => ({
      left: operator(2.5, inputs.normal([19])),
      right: operator(inputs.normal([19]), 2.5),
    }));
  });

  it("maximum and minimum give NaN if either is NaN", async () => {
    const [a, b] = [
      [Number.NaN, 1, Number.NaN, 1, 5],
      [1, Number.NaN, Number.NaN, 2, 4],
    ];
    const read = await readAll(suite.device, 4, (inputs) => {
      const [left, right] = [inputs.of(a, [5]), inputs.of(b, [5])];
      return { max: maximum(left, right), min: minimum(left, right) };
    });
    expect(read.get("max")?.values).toBeClose([Number.NaN, Number.NaN, Number.NaN, 2, 5], exact);
    expect(read.get("min")?.values).toBeClose([Number.NaN, Number.NaN, Number.NaN, 1, 4], exact);
  });

  it("division by zero follows IEEE 754", async () => {
    const read = await readAll(suite.device, 5, (inputs) => ({
      out: div(inputs.of([1, -1, 0], [3]), 0),
    }));
    expect(read.get("out")?.values).toBeClose(
      [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN],
      exact,
    );
  });

  it("addInto adds in place, with broadcasting", async () => {
    await holds(
      fc.record({ seed: anySeed, rows: fewSize, columns: anySize }),
      ({ seed, rows, columns }) =>
        agree(suite, seed, rounded, (inputs) => {
          const target = inputs.normal([rows, columns]);
          addInto(target, inputs.normal([rows, columns]));
          addInto(target, inputs.normal([columns]));
          return { target };
        }),
    );
  });

  it("affine and siluMul agree with the reference", async () => {
    await holds(fc.record({ seed: anySeed, size: anySize }), ({ seed, size }) =>
      agree(suite, seed, approximate, (inputs) => ({
        affine: affine(inputs.normal([size]), { factor: -1.75, bias: 0.3 }),
        siluMul: siluMul(inputs.normal([size], 4), inputs.normal([size])),
      })),
    );
  });

  it("inputs stay as they were", async () => {
    const read = await readAll(suite.device, 6, (inputs) => {
      const x = inputs.of(
        Float32Array.from({ length: 33 }, (_, index) => index - 16),
        [33],
      );
      for (const [, operator] of unaries) operator(x);
      for (const [, operator] of binaries) operator(x, x);
      const copy = add(x, 0);
      fill(copy, 1);
      return { x };
    });
    expect(read.get("x")?.values).toBeClose(
      Array.from({ length: 33 }, (_, index) => index - 16),
      exact,
    );
  });
}
