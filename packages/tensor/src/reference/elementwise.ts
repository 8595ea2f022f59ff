import { sizeOf } from "@latentkit/core";
import type { BinaryOperator, Kernels, UnaryOperator } from "../backend.ts";
import { erf } from "./erf.ts";
import { stridedIndex } from "./memory.ts";
import { f32 } from "./storage.ts";

type ElementwiseKernels = Pick<Kernels, "unary" | "binary" | "affine" | "siluMul">;

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
/** -infinity times 0 would be NaN; the limit of silu there is 0. */
const silu = (x: number): number => (x === Number.NEGATIVE_INFINITY ? 0 : x * sigmoid(x));
/** The same limit for both GELUs. */
const gated = (x: number, gate: number): number =>
  x === Number.NEGATIVE_INFINITY ? 0 : 0.5 * x * (1 + gate);

const unaryFunctions: Readonly<Record<UnaryOperator, (x: number) => number>> = {
  abs: Math.abs,
  exp: Math.exp,
  gelu: (x) => gated(x, erf(x / Math.SQRT2)),
  geluTanh: (x) => gated(x, Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
  log: Math.log,
  neg: (x) => -x,
  relu: (x) => Math.max(x, 0),
  rsqrt: (x) => 1 / Math.sqrt(x),
  sigmoid,
  silu,
  sqrt: Math.sqrt,
  square: (x) => x * x,
  tanh: Math.tanh,
};

const binaryFunctions: Readonly<Record<BinaryOperator, (a: number, b: number) => number>> = {
  add: (a, b) => a + b,
  div: (a, b) => a / b,
  max: Math.max,
  min: Math.min,
  mul: (a, b) => a * b,
  sub: (a, b) => a - b,
};

export const elementwiseKernels: ElementwiseKernels = {
  unary(operator, x, out) {
    const compute = unaryFunctions[operator];
    const [source, target] = [f32(x), f32(out)];
    for (const [index, value] of source.entries()) target[index] = compute(value);
  },

  binary(operator, a, aStrides, b, bStrides, out, shape) {
    const compute = binaryFunctions[operator];
    const [left, right, target] = [f32(a), f32(b), f32(out)];
    for (let index = 0; index < sizeOf(shape); index++) {
      const x = left[stridedIndex(index, shape, aStrides)] ?? Number.NaN;
      const y = right[stridedIndex(index, shape, bStrides)] ?? Number.NaN;
      target[index] = compute(x, y);
    }
  },

  affine(x, factor, bias, out) {
    const [source, target] = [f32(x), f32(out)];
    const [scale, shift] = [Math.fround(factor), Math.fround(bias)];
    for (const [index, value] of source.entries()) target[index] = value * scale + shift;
  },

  siluMul(gate, up, out) {
    const [gates, ups, target] = [f32(gate), f32(up), f32(out)];
    for (const [index, value] of gates.entries())
      target[index] = silu(value) * (ups[index] ?? Number.NaN);
  },
};
