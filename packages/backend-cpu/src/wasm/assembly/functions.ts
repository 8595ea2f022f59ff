// Exponentials, logarithms and what is made of them, on four f32 lanes. Errors are measured in ../functions.test.ts.

import { madd } from "./lanes";

/** Adding it rounds to an integer, and leaves that integer in the low bits. */
// @ts-expect-error AssemblyScript's decorator
@inline
const MAGIC: f32 = 12582912; // 1.5 * 2^23

/** x / ln 2 rounded, plus the magic constant. */
// @ts-expect-error AssemblyScript's decorator
@inline
function shiftedPower(x: v128): v128 {
  return madd(x, f32x4.splat(1.44269504088896341), f32x4.splat(MAGIC));
}

/** e^r for |r| up to ln(2) / 2: 1 + r + r^2 p(r), with p a minimax fit (3e-9 relative) by Estrin's scheme, to keep the chain short. */
// @ts-expect-error AssemblyScript's decorator
@inline
function expReduced(r: v128): v128 {
  const square = f32x4.mul(r, r);
  const middle = madd(r, f32x4.splat(8.368908427655697e-3), f32x4.splat(4.166620597243309e-2));
  const low = madd(r, f32x4.splat(1.66665181517601e-1), f32x4.splat(5e-1));
  const p = madd(madd(square, f32x4.splat(1.395052415318787e-3), middle), square, low);
  return f32x4.add(madd(p, square, r), f32x4.splat(1));
}

/** x - n ln 2, with ln 2 in two parts (Cody and Waite); n times the first is exact. */
// @ts-expect-error AssemblyScript's decorator
@inline
function reduced(x: v128, n: v128): v128 {
  return madd(n, f32x4.splat(2.12194440e-4), madd(n, f32x4.splat(-0.693359375), x));
}

/** value * 2^n in two steps, so that results underflow gradually and 2^128 is no infinity. */
// @ts-expect-error AssemblyScript's decorator
@inline
function scaled(value: v128, whole: v128): v128 {
  const half = i32x4.shr_s(whole, 1);
  const first = i32x4.shl(i32x4.add(half, i32x4.splat(127)), 23);
  const second = i32x4.shl(i32x4.add(i32x4.sub(whole, half), i32x4.splat(127)), 23);
  return f32x4.mul(f32x4.mul(value, first), second);
}

/**
 * e^x = 2^n e^r with n = round(x / ln 2). NaN stays NaN.
 *
 * The loops that call it wait for results rather than for units, so the chain is kept short.
 */
// @ts-expect-error AssemblyScript's decorator
@inline
export function exp4(x: v128): v128 {
  // pmin and pmax keep a NaN in their first operand, and are one instruction each.
  x = f32x4.pmax(f32x4.pmin(x, f32x4.splat(89)), f32x4.splat(-104));
  const shifted = shiftedPower(x);
  const r = reduced(x, f32x4.sub(shifted, f32x4.splat(MAGIC)));
  // As integers: the bits of the sum less those of the constant.
  return scaled(expReduced(r), i32x4.sub(shifted, f32x4.splat(MAGIC)));
}

/** e^x for x from -87 to 88, where 2^n is a normal number: it is added to the exponent's bits. */
// @ts-expect-error AssemblyScript's decorator
@inline
export function expBounded4(x: v128): v128 {
  const shifted = shiftedPower(x);
  const value = expReduced(reduced(x, f32x4.sub(shifted, f32x4.splat(MAGIC))));
  // The constant's low bits are 0, so the shift leaves n alone.
  return i32x4.add(value, i32x4.shl(shifted, 23));
}

/** e^x - 1, accurate for small x: 2^n (e^r - 1) + (2^n - 1). */
// @ts-expect-error AssemblyScript's decorator
@inline
export function expm14(x: v128): v128 {
  const bounded = f32x4.pmax(f32x4.pmin(x, f32x4.splat(88)), f32x4.splat(-87));
  const shifted = shiftedPower(bounded);
  const r = reduced(bounded, f32x4.sub(shifted, f32x4.splat(MAGIC)));
  const square = f32x4.mul(r, r);
  const middle = madd(r, f32x4.splat(8.368908427655697e-3), f32x4.splat(4.166620597243309e-2));
  const low = madd(r, f32x4.splat(1.66665181517601e-1), f32x4.splat(5e-1));
  const p = madd(madd(square, f32x4.splat(1.395052415318787e-3), middle), square, low);
  const power = i32x4.shl(i32x4.add(i32x4.sub(shifted, f32x4.splat(MAGIC)), i32x4.splat(127)), 23);
  const value = madd(madd(p, square, r), power, f32x4.sub(power, f32x4.splat(1)));
  // Above 80 the 1 is nothing, and 2^n may be infinite where the result is not.
  return v128.bitselect(exp4(x), value, f32x4.gt(x, f32x4.splat(80)));
}

/** 1 / (1 + e^-x); below -88 it stays at about 6e-39. */
// @ts-expect-error AssemblyScript's decorator
@inline
export function sigmoid4(x: v128): v128 {
  const bounded = f32x4.pmax(f32x4.pmin(f32x4.neg(x), f32x4.splat(88)), f32x4.splat(-87));
  return f32x4.div(f32x4.splat(1), f32x4.add(f32x4.splat(1), expBounded4(bounded)));
}

/** x / (1 + e^-x); 0 to 1e-36 below -88. */
// @ts-expect-error AssemblyScript's decorator
@inline
export function silu4(x: v128): v128 {
  x = f32x4.pmax(x, f32x4.splat(-88));
  const e = expBounded4(f32x4.pmax(f32x4.neg(x), f32x4.splat(-87)));
  return f32x4.div(x, f32x4.add(f32x4.splat(1), e));
}

/** Cephes' tanhf: an odd polynomial below 0.625, else 1 - 2 / (e^2x + 1). */
// @ts-expect-error AssemblyScript's decorator
@inline
export function tanh4(x: v128): v128 {
  const magnitude = f32x4.abs(x);
  const e = expBounded4(f32x4.pmin(f32x4.add(magnitude, magnitude), f32x4.splat(88)));
  let large = f32x4.sub(f32x4.splat(1), f32x4.div(f32x4.splat(2), f32x4.add(e, f32x4.splat(1))));
  large = v128.or(large, v128.and(x, i32x4.splat(0x80000000)));
  const z = f32x4.mul(x, x);
  let p = madd(z, f32x4.splat(-5.70498872745e-3), f32x4.splat(2.06390887954e-2));
  p = madd(p, z, f32x4.splat(-5.37397155531e-2));
  p = madd(p, z, f32x4.splat(1.33314422036e-1));
  p = madd(p, z, f32x4.splat(-3.33332819422e-1));
  const small = madd(f32x4.mul(p, z), x, x);
  return v128.bitselect(small, large, f32x4.lt(magnitude, f32x4.splat(0.625)));
}

/** Natural logarithm after Cephes' logf; log 0 = -inf, of a negative NaN, of infinity infinity. */
// @ts-expect-error AssemblyScript's decorator
@inline
export function log4(given: v128): v128 {
  const tiny = f32x4.lt(given, f32x4.splat(1.17549435e-38));
  const x = v128.bitselect(f32x4.mul(given, f32x4.splat(8388608)), given, tiny);
  let exponent = i32x4.sub(i32x4.shr_u(x, 23), i32x4.splat(126));
  exponent = i32x4.sub(exponent, v128.and(tiny, i32x4.splat(23)));
  let m = v128.or(v128.and(x, i32x4.splat(0x007fffff)), i32x4.splat(0x3f000000));
  const below = f32x4.lt(m, f32x4.splat(0.707106781186547524));
  exponent = i32x4.add(exponent, below); // a true lane is -1
  m = f32x4.sub(f32x4.add(m, v128.and(m, below)), f32x4.splat(1));
  const e = f32x4.convert_i32x4_s(exponent);
  const z = f32x4.mul(m, m);
  let p = madd(m, f32x4.splat(7.0376836292e-2), f32x4.splat(-1.1514610310e-1));
  p = madd(p, m, f32x4.splat(1.1676998740e-1));
  p = madd(p, m, f32x4.splat(-1.2420140846e-1));
  p = madd(p, m, f32x4.splat(1.4249322787e-1));
  p = madd(p, m, f32x4.splat(-1.6668057665e-1));
  p = madd(p, m, f32x4.splat(2.0000714765e-1));
  p = madd(p, m, f32x4.splat(-2.4999993993e-1));
  p = madd(p, m, f32x4.splat(3.3333331174e-1));
  p = f32x4.mul(f32x4.mul(p, m), z);
  p = madd(e, f32x4.splat(-2.12194440e-4), p);
  p = f32x4.sub(p, f32x4.mul(z, f32x4.splat(0.5)));
  let result = madd(e, f32x4.splat(0.693359375), f32x4.add(m, p));
  const infinity = f32x4.splat(Infinity);
  result = v128.bitselect(infinity, result, f32x4.eq(given, infinity));
  result = v128.bitselect(f32x4.neg(infinity), result, f32x4.eq(given, f32x4.splat(0)));
  // Negative numbers and NaN: the comparison fails for both.
  return v128.bitselect(result, f32x4.splat(NaN), f32x4.ge(given, f32x4.splat(0)));
}

/** log(1 + x): the logarithm of the rounded sum, less what the rounding added. */
// @ts-expect-error AssemblyScript's decorator
@inline
export function log1p4(x: v128): v128 {
  const one = f32x4.splat(1);
  const sum = f32x4.add(x, one);
  const error = f32x4.sub(f32x4.sub(sum, one), x);
  const value = f32x4.sub(log4(sum), f32x4.div(error, sum));
  // At -1 and infinity the correction is NaN, and log4 is right by itself; so it is at NaN.
  const edge = v128.or(f32x4.eq(sum, f32x4.splat(0)), f32x4.eq(sum, f32x4.splat(Infinity)));
  return v128.bitselect(log4(sum), value, edge);
}

/** log(1 + e^x) = max(x, 0) + log(1 + e^-|x|). */
// @ts-expect-error AssemblyScript's decorator
@inline
export function softplus4(x: v128): v128 {
  const one = f32x4.splat(1);
  const e = exp4(f32x4.neg(f32x4.abs(x)));
  const sum = f32x4.add(e, one);
  const error = f32x4.sub(f32x4.sub(sum, one), e);
  const rest = f32x4.sub(log4(sum), f32x4.div(error, sum));
  return f32x4.add(f32x4.max(x, f32x4.splat(0)), rest);
}
