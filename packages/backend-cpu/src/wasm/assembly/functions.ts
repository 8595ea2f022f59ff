// Transcendental functions on four f32 lanes.

import { madd } from "./lanes";

/**
 * e^x after Cephes' expf: x = n ln 2 + r with ln 2 in two parts, a polynomial in r, 2^n in two steps so that results underflow
 * gradually. NaN stays NaN. Within 1 ulp of the exact value, 1.5 with fused multiply-add (tested against f64).
 *
 * The loops that call it wait for results rather than for units, so the chain is kept short: the polynomial is evaluated by
 * Estrin's scheme, and adding 1.5 * 2^23 both rounds x / ln 2 and leaves the integer in the low bits.
 */
// @ts-expect-error AssemblyScript's decorator
@inline
export function exp4(x: v128): v128 {
  // pmin and pmax keep a NaN in their first operand, and are one instruction each.
  x = f32x4.pmax(f32x4.pmin(x, f32x4.splat(89)), f32x4.splat(-104));
  const magic = f32x4.splat(12582912);
  const shifted = f32x4.add(f32x4.mul(x, f32x4.splat(1.44269504088896341)), magic);
  const n = f32x4.sub(shifted, magic);
  let r = f32x4.sub(x, f32x4.mul(n, f32x4.splat(0.693359375)));
  r = f32x4.sub(r, f32x4.mul(n, f32x4.splat(-2.12194440e-4)));
  const square = f32x4.mul(r, r);
  const high = madd(r, f32x4.splat(1.9875691500e-4), f32x4.splat(1.3981999507e-3));
  const middle = madd(r, f32x4.splat(8.3334519073e-3), f32x4.splat(4.1665795894e-2));
  const low = madd(r, f32x4.splat(1.6666665459e-1), f32x4.splat(5.0000001201e-1));
  const p = madd(madd(high, square, middle), square, low);
  const value = f32x4.add(madd(p, square, r), f32x4.splat(1));
  const whole = i32x4.sub(shifted, magic); // as integers: the bits of the sum less those of the constant
  const half = i32x4.shr_s(whole, 1);
  const first = i32x4.shl(i32x4.add(half, i32x4.splat(127)), 23);
  const second = i32x4.shl(i32x4.add(i32x4.sub(whole, half), i32x4.splat(127)), 23);
  return f32x4.mul(f32x4.mul(value, first), second);
}

/** 1 / (1 + e^-x). */
// @ts-expect-error AssemblyScript's decorator
@inline
export function sigmoid4(x: v128): v128 {
  return f32x4.div(f32x4.splat(1), f32x4.add(f32x4.splat(1), exp4(f32x4.neg(x))));
}

/** x / (1 + e^-x), 0 at -infinity. */
// @ts-expect-error AssemblyScript's decorator
@inline
export function silu4(x: v128): v128 {
  x = f32x4.pmax(x, f32x4.splat(-200)); // below, the result is 0 anyway
  return f32x4.div(x, f32x4.add(f32x4.splat(1), exp4(f32x4.neg(x))));
}

/** Cephes' tanhf: an odd polynomial below 0.625, else 1 - 2 / (e^2x + 1). */
// @ts-expect-error AssemblyScript's decorator
@inline
export function tanh4(x: v128): v128 {
  const magnitude = f32x4.abs(x);
  const e = exp4(f32x4.add(magnitude, magnitude));
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

/** 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))), written as x * sigmoid(2 ..): no cancellation for negative x. */
// @ts-expect-error AssemblyScript's decorator
@inline
export function geluTanh4(x: v128): v128 {
  x = f32x4.pmax(x, f32x4.splat(-200)); // below, the result is 0 anyway
  const cube = f32x4.mul(f32x4.mul(x, x), x);
  const inner = f32x4.mul(f32x4.splat(1.5957691216057308), madd(f32x4.splat(0.044715), cube, x));
  return f32x4.div(x, f32x4.add(f32x4.splat(1), exp4(f32x4.neg(inner))));
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

/**
 * x Phi(x), the exact GELU. Phi = erfc(-x / sqrt 2) / 2 by the Chebyshev fit of Numerical Recipes (section 6.2, relative error
 * 1.2e-7) on the negative side, which keeps its relative accuracy in the tail where 1 + erf would cancel. The square in the
 * exponent is split, so that its rounding is not magnified.
 */
// @ts-expect-error AssemblyScript's decorator
@inline
export function gelu4(given: v128): v128 {
  const x = f32x4.pmax(given, f32x4.splat(-200)); // below, the result is 0 anyway
  const size = f32x4.pmin(f32x4.abs(x), f32x4.splat(200));
  const high = v128.and(size, i32x4.splat(0xfffff000)); // 12 bits: its square is exact
  const low = f32x4.mul(f32x4.mul(f32x4.sub(size, high), f32x4.add(size, high)), f32x4.splat(-0.5));
  const t = f32x4.div(f32x4.splat(1), madd(size, f32x4.splat(0.35355339059327379), f32x4.splat(1)));
  let p = madd(t, f32x4.splat(0.17087277), f32x4.splat(-0.82215223));
  p = madd(p, t, f32x4.splat(1.48851587));
  p = madd(p, t, f32x4.splat(-1.13520398));
  p = madd(p, t, f32x4.splat(0.27886807));
  p = madd(p, t, f32x4.splat(-0.18628806));
  p = madd(p, t, f32x4.splat(0.09678418));
  p = madd(p, t, f32x4.splat(0.37409196));
  p = madd(p, t, f32x4.splat(1.00002368));
  p = madd(p, t, f32x4.splat(-1.26551223));
  const square = f32x4.mul(f32x4.mul(high, high), f32x4.splat(-0.5));
  const tail = f32x4.mul(f32x4.mul(exp4(square), exp4(f32x4.add(p, low))), f32x4.mul(t, f32x4.splat(0.5)));
  const phi = v128.bitselect(tail, f32x4.sub(f32x4.splat(1), tail), f32x4.lt(x, f32x4.splat(0)));
  return f32x4.mul(x, phi);
}
