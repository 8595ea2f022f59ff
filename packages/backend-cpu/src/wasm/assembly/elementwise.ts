// Kernels of one or two inputs, element by element. `out` may be an input.

import { exp4, gelu4, geluTanh4, log4, sigmoid4, silu4, tanh4 } from "./functions";
import { storeFirst } from "./lanes";

// Order of `UnaryOperator` in the backend contract.
const ABS = 0, EXP = 1, GELU = 2, GELU_TANH = 3, LOG = 4, NEG = 5, RELU = 6, RSQRT = 7, SIGMOID = 8, SILU = 9, SQRT = 10, SQUARE = 11, TANH = 12;

// @ts-expect-error AssemblyScript's decorator
@inline
function apply(operator: i32, x: v128): v128 {
  if (operator == ABS) return f32x4.abs(x);
  if (operator == EXP) return exp4(x);
  if (operator == GELU) return gelu4(x);
  if (operator == GELU_TANH) return geluTanh4(x);
  if (operator == LOG) return log4(x);
  if (operator == NEG) return f32x4.neg(x);
  if (operator == RELU) return f32x4.max(x, f32x4.splat(0));
  if (operator == RSQRT) return f32x4.div(f32x4.splat(1), f32x4.sqrt(x));
  if (operator == SIGMOID) return sigmoid4(x);
  if (operator == SILU) return silu4(x);
  if (operator == SQRT) return f32x4.sqrt(x);
  if (operator == SQUARE) return f32x4.mul(x, x);
  return tanh4(x);
}

// @ts-expect-error AssemblyScript's decorator
@inline
function map(operator: i32, x: usize, out: usize, count: usize): void {
  const end = out + ((count & ~3) << 2);
  while (out < end) {
    v128.store(out, apply(operator, v128.load(x)));
    out += 16;
    x += 16;
  }
  // The last load may reach past the slice; the memory ends with a guard, so it stays readable.
  if (count & 3) storeFirst(out, apply(operator, v128.load(x)), count & 3);
}

export function unaryAbs(x: usize, out: usize, count: usize): void { map(ABS, x, out, count); }
export function unaryExp(x: usize, out: usize, count: usize): void { map(EXP, x, out, count); }
export function unaryGelu(x: usize, out: usize, count: usize): void { map(GELU, x, out, count); }
export function unaryGeluTanh(x: usize, out: usize, count: usize): void { map(GELU_TANH, x, out, count); }
export function unaryLog(x: usize, out: usize, count: usize): void { map(LOG, x, out, count); }
export function unaryNeg(x: usize, out: usize, count: usize): void { map(NEG, x, out, count); }
export function unaryRelu(x: usize, out: usize, count: usize): void { map(RELU, x, out, count); }
export function unaryRsqrt(x: usize, out: usize, count: usize): void { map(RSQRT, x, out, count); }
export function unarySigmoid(x: usize, out: usize, count: usize): void { map(SIGMOID, x, out, count); }
export function unarySilu(x: usize, out: usize, count: usize): void { map(SILU, x, out, count); }
export function unarySqrt(x: usize, out: usize, count: usize): void { map(SQRT, x, out, count); }
export function unarySquare(x: usize, out: usize, count: usize): void { map(SQUARE, x, out, count); }
export function unaryTanh(x: usize, out: usize, count: usize): void { map(TANH, x, out, count); }

/** out = x * factor + bias. */
export function affine(x: usize, factor: f32, bias: f32, out: usize, count: usize): void {
  const f = f32x4.splat(factor);
  const b = f32x4.splat(bias);
  const end = out + ((count & ~3) << 2);
  while (out < end) {
    v128.store(out, f32x4.add(f32x4.mul(v128.load(x), f), b));
    out += 16;
    x += 16;
  }
  if (count & 3) storeFirst(out, f32x4.add(f32x4.mul(v128.load(x), f), b), count & 3);
}

export function siluMul(gate: usize, up: usize, out: usize, count: usize): void {
  const end = out + ((count & ~3) << 2);
  while (out < end) {
    v128.store(out, f32x4.mul(silu4(v128.load(gate)), v128.load(up)));
    out += 16;
    gate += 16;
    up += 16;
  }
  if (count & 3) storeFirst(out, f32x4.mul(silu4(v128.load(gate)), v128.load(up)), count & 3);
}

export function fillF32(out: usize, value: f32, count: usize): void {
  const v = f32x4.splat(value);
  const end = out + ((count & ~3) << 2);
  while (out < end) {
    v128.store(out, v);
    out += 16;
  }
  if (count & 3) storeFirst(out, v, count & 3);
}

export function fillBytes(out: usize, value: i32, count: usize): void {
  memory.fill(out, <u8>value, count);
}

export function copyBytes(x: usize, out: usize, count: usize): void {
  memory.copy(out, x, count);
}
