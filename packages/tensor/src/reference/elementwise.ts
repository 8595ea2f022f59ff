import type { ElementwiseKernels, Slice } from "../backend.ts";
import { broadcastKernels } from "./broadcast.ts";
import { activations, activationSlopes, unaryFunctions, unarySlopes } from "./functions.ts";
import { f32, i32, u8 } from "./storage.ts";

export const elementwiseKernels: ElementwiseKernels = {
  ...broadcastKernels,

  unary(operator, x, out) {
    map([x], out, ([value = Number.NaN]) => unaryFunctions[operator](value));
  },

  unaryGradient(operator, saved, dOut, dx) {
    const slope = unarySlopes[operator];
    map([saved, dOut], dx, ([value = Number.NaN, gradient = Number.NaN]) =>
      // A gradient that is not let through is 0 whatever it was.
      operator === "relu" && value <= 0 ? 0 : gradient * slope(value),
    );
  },

  affine(x, factor, bias, out) {
    const [scale, shift] = [Math.fround(factor), Math.fround(bias)];
    map([x], out, ([value = Number.NaN]) => value * scale + shift);
  },

  clamp(x, low, high, out) {
    const [least, most] = [Math.fround(low), Math.fround(high)];
    map([x], out, ([value = Number.NaN]) => Math.min(Math.max(value, least), most));
  },

  clampGradient(x, low, high, dOut, dx) {
    const [least, most] = [Math.fround(low), Math.fround(high)];
    map([x, dOut], dx, ([value = Number.NaN, gradient = Number.NaN]) =>
      value >= least && value <= most ? gradient : 0,
    );
  },

  power(x, exponent, out) {
    const rounded = Math.fround(exponent);
    map([x], out, ([value = Number.NaN]) => power(value, rounded));
  },

  gatedMul(activation, gate, up, out) {
    const compute = activations[activation];
    map([gate, up], out, ([g = Number.NaN, u = Number.NaN]) => compute(g) * u);
  },

  gatedMulGradient(activation, gate, up, dOut, dGate, dUp) {
    const [compute, slope] = [activations[activation], activationSlopes[activation]];
    const inputs = [gate, up, dOut];
    if (dGate !== null)
      map(inputs, dGate, ([g = Number.NaN, u = Number.NaN, d = Number.NaN]) => d * u * slope(g));
    if (dUp !== null) map(inputs, dUp, ([g = Number.NaN, , d = Number.NaN]) => d * compute(g));
  },

  isFinite(x, out) {
    const mask = u8(out);
    for (const [index, value] of f32(x).entries()) mask[index] = Number(Number.isFinite(value));
  },

  countNonFinite(x, out) {
    let count = 0;
    for (const value of f32(x)) count += Number(!Number.isFinite(value));
    i32(out)[0] = count;
  },
};

/** C's pow, which unlike JavaScript's gives 1 for a base of 1 or -1 and an infinite exponent, and for 1 to the NaN. */
function power(base: number, exponent: number): number {
  if (base === 1 || (base === -1 && Math.abs(exponent) === Number.POSITIVE_INFINITY)) return 1;
  return base ** exponent;
}

function map(inputs: readonly Slice[], out: Slice, compute: (values: number[]) => number): void {
  const sources = inputs.map((input) => f32(input));
  const target = f32(out);
  for (let index = 0; index < target.length; index++)
    target[index] = compute(sources.map((source) => source[index] ?? Number.NaN));
}
