/* oxlint-disable vitest/expect-expect -- agree(), holds() and check() assert */
import fc from "fast-check";
import { expect, it } from "vitest";
import { add, affine, div, maximum, minimum, mul, pow, sub } from "../../operators/arithmetic.ts";
import { geluMul, geluTanhMul, siluMul } from "../../operators/gated.ts";
import { fill } from "../../operators/layout.ts";
import {
  abs,
  clamp,
  cos,
  erf,
  exp,
  expm1,
  gelu,
  geluTanh,
  log,
  log1p,
  neg,
  reciprocal,
  relu,
  rsqrt,
  sigmoid,
  sign,
  silu,
  sin,
  softplus,
  sqrt,
  square,
  tanh,
} from "../../operators/unary.ts";
import type { Tensor } from "../../tensor.ts";
import type { Tolerance } from "../close.ts";
import { agree, anySeed, anySize, exact, holds, readAll, rounded, type Suite } from "./agree.ts";

/** Polynomial approximations of transcendental functions may be a few ulp off. */
const approximate: Tolerance = { rtol: 4e-6, atol: 4e-7 };

export const unaries: readonly (readonly [string, (x: Tensor) => Tensor, Tolerance])[] = [
  ["abs", abs, exact],
  ["cos", cos, approximate],
  ["erf", erf, approximate],
  ["exp", exp, approximate],
  ["expm1", expm1, approximate],
  ["gelu", gelu, approximate],
  ["geluTanh", geluTanh, approximate],
  ["log", log, approximate],
  ["log1p", log1p, approximate],
  ["neg", neg, exact],
  ["reciprocal", reciprocal, rounded],
  ["relu", relu, exact],
  ["rsqrt", rsqrt, rounded],
  ["sigmoid", sigmoid, approximate],
  ["sign", sign, exact],
  ["silu", silu, approximate],
  ["sin", sin, approximate],
  ["softplus", softplus, approximate],
  ["sqrt", sqrt, rounded],
  ["square", square, rounded],
  ["tanh", tanh, approximate],
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
    async (_name, operator, tolerance) => {
      const values = [...edgeValues, Number.NEGATIVE_INFINITY, -0];
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

  it("long tensors, which threads divide, agree with the reference", async () => {
    await agree(suite, 7, approximate, (inputs) => {
      const x = inputs.normal([100_003], 3);
      const up = inputs.normal([100_003]);
      return {
        gelu: gelu(x),
        clamp: clamp(x, { low: -1, high: 2 }),
        affine: affine(x, { factor: 3, bias: 1 }),
        siluMul: siluMul(x, up),
        power: pow(abs(x), 1.7),
      };
    });
  });

  it("affine, clamp, pow and the gated activations agree with the reference", async () => {
    await holds(fc.record({ seed: anySeed, size: anySize }), ({ seed, size }) =>
      agree(suite, seed, approximate, (inputs) => {
        const [gate, up] = [inputs.normal([size], 4), inputs.normal([size])];
        return {
          affine: affine(inputs.normal([size]), { factor: -1.75, bias: 0.3 }),
          above: clamp(gate, { low: 0.25 }),
          below: clamp(gate, { high: -0.25 }),
          between: clamp(gate, { low: -1.5, high: 1.5 }),
          cube: pow(gate, 3),
          root: pow(gate, 0.4),
          inverse: pow(gate, -1.5),
          siluMul: siluMul(gate, up),
          geluMul: geluMul(gate, up),
          geluTanhMul: geluTanhMul(gate, up),
        };
      }),
    );
  });

  it.each([0, 1, -1, 2, 0.5, -0.5, 3, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])(
    "pow(x, %d) at the edges is that of C",
    async (exponent) => {
      const values = [...edgeValues, Number.NEGATIVE_INFINITY, -0, 2, -2];
      await agree(suite, 8, rounded, (inputs) => ({
        out: pow(inputs.of(Float32Array.from(values), [values.length]), exponent),
      }));
    },
  );

  it("clamp and the gated activations at the edges", async () => {
    const values = [...edgeValues, Number.NEGATIVE_INFINITY];
    await agree(suite, 9, approximate, (inputs) => {
      const x = inputs.of(Float32Array.from(values), [values.length]);
      const one = inputs.of(new Float32Array(values.length).fill(1), [values.length]);
      return {
        clamp: clamp(x, { low: -1, high: 20 }),
        siluMul: siluMul(x, one),
        geluMul: geluMul(x, one),
        geluTanhMul: geluTanhMul(x, one),
      };
    });
  });

  it("identities: sin^2 + cos^2 = 1, erf is odd, softplus(x) - softplus(-x) = x, expm1 and log1p undo each other", async () => {
    const read = await readAll(suite.device, 10, (inputs) => {
      const x = inputs.normal([1001], 5);
      const small = inputs.normal([1001], 1e-4);
      return {
        circle: sub(add(square(sin(x)), square(cos(x))), 1),
        odd: add(erf(x), erf(neg(x))),
        softplus: sub(sub(softplus(x), softplus(neg(x))), x),
        inverse: div(sub(log1p(expm1(small)), small), small),
        far: sub(add(square(sin(mul(x, 1e6))), square(cos(mul(x, 1e6)))), 1),
      };
    });
    const zeros = new Float32Array(1001);
    for (const [name, { values }] of read)
      expect(values, name).toBeClose(zeros, { rtol: 0, atol: name === "softplus" ? 2e-6 : 5e-7 });
  });

  it("inputs stay as they were", async () => {
    const read = await readAll(suite.device, 6, (inputs) => {
      const x = inputs.of(
        Float32Array.from({ length: 33 }, (_, index) => index - 16),
        [33],
      );
      for (const [, operator] of unaries) operator(x);
      for (const operator of [add, sub, mul, div, maximum, minimum]) operator(x, x);
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
