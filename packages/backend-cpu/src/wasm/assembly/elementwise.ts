// Functions of one number and their gradients, element by element. `out` may be an input. Loads at the end of a slice may reach
// past it; the memory ends with a guard, so they stay readable.

import { exp4, expm14, log1p4, log4, sigmoid4, softplus4, tanh4 } from "./functions";
import { madd, storeFirst } from "./lanes";
import {
  activation4, activationSlope4, erf4, erfSlope4, GELU as GELU_GATE, GELU_TANH as GELU_TANH_GATE, SILU as SILU_GATE,
} from "./math/normal";
import { cos4, sin4 } from "./math/trigonometry";

// Which function a loop applies; known where the loop is compiled.
const ABS = 0, COS = 1, ERF = 2, EXP = 3, EXPM1 = 4, GELU = 5, GELU_TANH = 6, LOG = 7, LOG1P = 8, NEG = 9, RECIPROCAL = 10, RELU
  = 11, RSQRT = 12, SIGMOID = 13, SIGN = 14, SILU = 15, SIN = 16, SOFTPLUS = 17, SQRT = 18, SQUARE = 19, TANH = 20;

/** -1, 0 or 1; NaN stays. */
// @ts-expect-error AssemblyScript's decorator
@inline
function sign4(x: v128): v128 {
  const one = f32x4.splat(1);
  const zero = f32x4.splat(0);
  const value = f32x4.sub(v128.and(one, f32x4.gt(x, zero)), v128.and(one, f32x4.lt(x, zero)));
  return v128.bitselect(value, x, f32x4.eq(x, x));
}

// @ts-expect-error AssemblyScript's decorator
@inline
function apply(operator: i32, x: v128): v128 {
  const one = f32x4.splat(1);
  if (operator == ABS) return f32x4.abs(x);
  if (operator == COS) return cos4(x);
  if (operator == ERF) return erf4(x);
  if (operator == EXP) return exp4(x);
  if (operator == EXPM1) return expm14(x);
  if (operator == GELU) return activation4(GELU_GATE, x);
  if (operator == GELU_TANH) return activation4(GELU_TANH_GATE, x);
  if (operator == LOG) return log4(x);
  if (operator == LOG1P) return log1p4(x);
  if (operator == NEG) return f32x4.neg(x);
  if (operator == RECIPROCAL) return f32x4.div(one, x);
  if (operator == RELU) return f32x4.max(x, f32x4.splat(0));
  if (operator == RSQRT) return f32x4.div(one, f32x4.sqrt(x));
  if (operator == SIGMOID) return sigmoid4(x);
  if (operator == SIGN) return sign4(x);
  if (operator == SILU) return activation4(SILU_GATE, x);
  if (operator == SIN) return sin4(x);
  if (operator == SOFTPLUS) return softplus4(x);
  if (operator == SQRT) return f32x4.sqrt(x);
  if (operator == SQUARE) return f32x4.mul(x, x);
  return tanh4(x);
}

/** d times the derivative, from what the operator saved. */
// @ts-expect-error AssemblyScript's decorator
@inline
function applyGradient(operator: i32, v: v128, d: v128): v128 {
  const one = f32x4.splat(1);
  if (operator == ABS) return f32x4.mul(d, sign4(v));
  if (operator == COS) return f32x4.neg(f32x4.mul(d, sin4(v)));
  if (operator == ERF) return f32x4.mul(d, erfSlope4(v));
  if (operator == EXP) return f32x4.mul(d, v);
  if (operator == EXPM1) return madd(d, v, d);
  if (operator == GELU) return f32x4.mul(d, activationSlope4(GELU_GATE, v));
  if (operator == GELU_TANH) return f32x4.mul(d, activationSlope4(GELU_TANH_GATE, v));
  if (operator == LOG) return f32x4.div(d, v);
  if (operator == LOG1P) return f32x4.div(d, f32x4.add(v, one));
  if (operator == RECIPROCAL) return f32x4.neg(f32x4.mul(d, f32x4.mul(v, v)));
  if (operator == RELU) return v128.andnot(d, f32x4.le(v, f32x4.splat(0)));
  if (operator == RSQRT) return f32x4.mul(f32x4.mul(d, f32x4.splat(-0.5)), f32x4.mul(v, f32x4.mul(v, v)));
  if (operator == SIGMOID) return f32x4.mul(d, f32x4.mul(v, f32x4.sub(one, v)));
  if (operator == SILU) return f32x4.mul(d, activationSlope4(SILU_GATE, v));
  if (operator == SIN) return f32x4.mul(d, cos4(v));
  if (operator == SOFTPLUS) return f32x4.mul(d, sigmoid4(v));
  if (operator == SQRT) return f32x4.div(f32x4.mul(d, f32x4.splat(0.5)), v);
  if (operator == SQUARE) return f32x4.mul(d, f32x4.add(v, v));
  return f32x4.mul(d, f32x4.sub(one, f32x4.mul(v, v)));
}

// @ts-expect-error AssemblyScript's decorator
@inline
function map(operator: i32, x: usize, out: usize, count: usize): void {
  const pairs = out + ((count & ~7) << 2);
  while (out < pairs) {
    const first = apply(operator, v128.load(x));
    const second = apply(operator, v128.load(x, 16));
    v128.store(out, first);
    v128.store(out, second, 16);
    out += 32;
    x += 32;
  }
  if (count & 4) {
    v128.store(out, apply(operator, v128.load(x)));
    out += 16;
    x += 16;
  }
  if (count & 3) storeFirst(out, apply(operator, v128.load(x)), count & 3);
}

// @ts-expect-error AssemblyScript's decorator
@inline
function mapGradient(operator: i32, saved: usize, d: usize, dx: usize, count: usize): void {
  const end = dx + ((count & ~3) << 2);
  while (dx < end) {
    v128.store(dx, applyGradient(operator, v128.load(saved), v128.load(d)));
    dx += 16;
    d += 16;
    saved += 16;
  }
  if (count & 3) storeFirst(dx, applyGradient(operator, v128.load(saved), v128.load(d)), count & 3);
}

export function absMap(x: usize, out: usize, count: usize): void { map(ABS, x, out, count); }
export function cosMap(x: usize, out: usize, count: usize): void { map(COS, x, out, count); }
export function erfMap(x: usize, out: usize, count: usize): void { map(ERF, x, out, count); }
export function expMap(x: usize, out: usize, count: usize): void { map(EXP, x, out, count); }
export function expm1Map(x: usize, out: usize, count: usize): void { map(EXPM1, x, out, count); }
export function geluMap(x: usize, out: usize, count: usize): void { map(GELU, x, out, count); }
export function geluTanhMap(x: usize, out: usize, count: usize): void { map(GELU_TANH, x, out, count); }
export function logMap(x: usize, out: usize, count: usize): void { map(LOG, x, out, count); }
export function log1pMap(x: usize, out: usize, count: usize): void { map(LOG1P, x, out, count); }
export function negMap(x: usize, out: usize, count: usize): void { map(NEG, x, out, count); }
export function reciprocalMap(x: usize, out: usize, count: usize): void { map(RECIPROCAL, x, out, count); }
export function reluMap(x: usize, out: usize, count: usize): void { map(RELU, x, out, count); }
export function rsqrtMap(x: usize, out: usize, count: usize): void { map(RSQRT, x, out, count); }
export function sigmoidMap(x: usize, out: usize, count: usize): void { map(SIGMOID, x, out, count); }
export function signMap(x: usize, out: usize, count: usize): void { map(SIGN, x, out, count); }
export function siluMap(x: usize, out: usize, count: usize): void { map(SILU, x, out, count); }
export function sinMap(x: usize, out: usize, count: usize): void { map(SIN, x, out, count); }
export function softplusMap(x: usize, out: usize, count: usize): void { map(SOFTPLUS, x, out, count); }
export function sqrtMap(x: usize, out: usize, count: usize): void { map(SQRT, x, out, count); }
export function squareMap(x: usize, out: usize, count: usize): void { map(SQUARE, x, out, count); }
export function tanhMap(x: usize, out: usize, count: usize): void { map(TANH, x, out, count); }

export function absGradient(saved: usize, d: usize, dx: usize, count: usize): void { mapGradient(ABS, saved, d, dx, count); }
export function cosGradient(saved: usize, d: usize, dx: usize, count: usize): void { mapGradient(COS, saved, d, dx, count); }
export function erfGradient(saved: usize, d: usize, dx: usize, count: usize): void { mapGradient(ERF, saved, d, dx, count); }
export function expGradient(saved: usize, d: usize, dx: usize, count: usize): void { mapGradient(EXP, saved, d, dx, count); }
export function expm1Gradient(saved: usize, d: usize, dx: usize, count: usize): void { mapGradient(EXPM1, saved, d, dx, count); }
export function geluGradient(saved: usize, d: usize, dx: usize, count: usize): void { mapGradient(GELU, saved, d, dx, count); }
export function geluTanhGradient(saved: usize, d: usize, dx: usize, count: usize): void { mapGradient(GELU_TANH, saved, d, dx, count); }
export function logGradient(saved: usize, d: usize, dx: usize, count: usize): void { mapGradient(LOG, saved, d, dx, count); }
export function log1pGradient(saved: usize, d: usize, dx: usize, count: usize): void { mapGradient(LOG1P, saved, d, dx, count); }
export function reciprocalGradient(saved: usize, d: usize, dx: usize, count: usize): void { mapGradient(RECIPROCAL, saved, d, dx, count); }
export function reluGradient(saved: usize, d: usize, dx: usize, count: usize): void { mapGradient(RELU, saved, d, dx, count); }
export function rsqrtGradient(saved: usize, d: usize, dx: usize, count: usize): void { mapGradient(RSQRT, saved, d, dx, count); }
export function sigmoidGradient(saved: usize, d: usize, dx: usize, count: usize): void { mapGradient(SIGMOID, saved, d, dx, count); }
export function siluGradient(saved: usize, d: usize, dx: usize, count: usize): void { mapGradient(SILU, saved, d, dx, count); }
export function sinGradient(saved: usize, d: usize, dx: usize, count: usize): void { mapGradient(SIN, saved, d, dx, count); }
export function softplusGradient(saved: usize, d: usize, dx: usize, count: usize): void { mapGradient(SOFTPLUS, saved, d, dx, count); }
export function sqrtGradient(saved: usize, d: usize, dx: usize, count: usize): void { mapGradient(SQRT, saved, d, dx, count); }
export function squareGradient(saved: usize, d: usize, dx: usize, count: usize): void { mapGradient(SQUARE, saved, d, dx, count); }
export function tanhGradient(saved: usize, d: usize, dx: usize, count: usize): void { mapGradient(TANH, saved, d, dx, count); }

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

/** out = min(max(x, low), high). */
export function clamp(x: usize, low: f32, high: f32, out: usize, count: usize): void {
  const least = f32x4.splat(low);
  const most = f32x4.splat(high);
  const end = out + ((count & ~3) << 2);
  while (out < end) {
    v128.store(out, f32x4.min(f32x4.max(v128.load(x), least), most));
    out += 16;
    x += 16;
  }
  if (count & 3) storeFirst(out, f32x4.min(f32x4.max(v128.load(x), least), most), count & 3);
}

/** dx = d where low <= x <= high, else 0. */
export function clampGradient(x: usize, low: f32, high: f32, d: usize, dx: usize, count: usize): void {
  const least = f32x4.splat(low);
  const most = f32x4.splat(high);
  const end = dx + ((count & ~3) << 2);
  while (dx < end) {
    const v = v128.load(x);
    v128.store(dx, v128.and(v128.load(d), v128.and(f32x4.ge(v, least), f32x4.le(v, most))));
    dx += 16;
    d += 16;
    x += 16;
  }
  const v = v128.load(x);
  if (count & 3) storeFirst(dx, v128.and(v128.load(d), v128.and(f32x4.ge(v, least), f32x4.le(v, most))), count & 3);
}

/** out = x^exponent, one by one: the library's function computes in f64 and is right to the last bit or nearly so. */
export function power(x: usize, exponent: f32, out: usize, count: usize): void {
  const infinite = abs(exponent) == Infinity;
  for (const end = out + (count << 2); out < end; out += 4) {
    const base = load<f32>(x);
    // C's and PyTorch's answer; JavaScript's, and the library's, is NaN.
    store<f32>(out, infinite && abs(base) == 1 ? 1 : NativeMathf.pow(base, exponent));
    x += 4;
  }
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
