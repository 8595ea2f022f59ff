// Functions of one number in f64, and their derivatives.
import type { GatedActivation, UnaryGradientOperator, UnaryOperator } from "../backend.ts";
import { erf, erfc } from "./erf.ts";

const normalDensity = (x: number): number => Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI);
/** The normal distribution's Phi, without cancellation for negative x. */
const normalBelow = (x: number): number => 0.5 * erfc(-x / Math.SQRT2);
const tanhArgument = (x: number): number => Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3);
const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));

/** The activations' limit at -infinity is 0, where their formulas give NaN. */
const unlessMinusInfinity =
  (compute: (x: number) => number) =>
  (x: number): number =>
    x === Number.NEGATIVE_INFINITY ? 0 : compute(x);

/** x times a gate that goes from 0 to 1. */
export const activations: Readonly<Record<GatedActivation, (x: number) => number>> = {
  gelu: unlessMinusInfinity((x) => x * normalBelow(x)),
  geluTanh: unlessMinusInfinity((x) => 0.5 * x * (1 + Math.tanh(tanhArgument(x)))),
  silu: unlessMinusInfinity((x) => x * sigmoid(x)),
};

/** Their derivatives: 0 and 1 at the infinities. */
export const activationSlopes: Readonly<Record<GatedActivation, (x: number) => number>> = {
  gelu: unlessInfinite((x) => normalBelow(x) + x * normalDensity(x)),
  geluTanh: unlessInfinite((x) => {
    const gate = Math.tanh(tanhArgument(x));
    const slope = Math.sqrt(2 / Math.PI) * (1 + 3 * 0.044715 * x * x);
    return 0.5 * (1 + gate) + 0.5 * x * (1 - gate * gate) * slope;
  }),
  silu: unlessInfinite((x) => sigmoid(x) * (1 + x * sigmoid(-x))),
};

function unlessInfinite(compute: (x: number) => number): (x: number) => number {
  return (x) => (Math.abs(x) === Number.POSITIVE_INFINITY ? Number(x > 0) : compute(x));
}

export const unaryFunctions: Readonly<Record<UnaryOperator, (x: number) => number>> = {
  ...activations,
  abs: Math.abs,
  cos: Math.cos,
  erf,
  exp: Math.exp,
  expm1: Math.expm1,
  log: Math.log,
  log1p: Math.log1p,
  neg: (x) => -x,
  reciprocal: (x) => 1 / x,
  relu: (x) => Math.max(x, 0),
  rsqrt: (x) => 1 / Math.sqrt(x),
  sigmoid,
  sign: Math.sign,
  sin: Math.sin,
  softplus: (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x))),
  sqrt: Math.sqrt,
  square: (x) => x * x,
  tanh: Math.tanh,
};

/** Derivatives by what the operators save: the output `y`, or the input `x`. */
export const unarySlopes: Readonly<Record<UnaryGradientOperator, (saved: number) => number>> = {
  ...activationSlopes,
  abs: Math.sign,
  cos: (x) => -Math.sin(x),
  erf: (x) => (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x),
  exp: (y) => y,
  expm1: (y) => y + 1,
  log: (x) => 1 / x,
  log1p: (x) => 1 / (1 + x),
  reciprocal: (y) => -y * y,
  relu: (y) => (y <= 0 ? 0 : 1),
  rsqrt: (y) => -0.5 * y ** 3,
  sigmoid: (y) => y * (1 - y),
  sin: Math.cos,
  softplus: sigmoid,
  sqrt: (y) => 0.5 / y,
  square: (x) => 2 * x,
  tanh: (y) => 1 - y * y,
};
