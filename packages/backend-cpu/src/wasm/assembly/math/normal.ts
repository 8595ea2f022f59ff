// The normal distribution and activations, on four f32 lanes.

import { expBounded4 } from "../functions";
import { madd } from "../lanes";

/** |x|, or 13.1 if that is less: Phi(-13.1) is below all normal f32. */
// @ts-expect-error AssemblyScript's decorator
@inline
function bounded(x: v128): v128 {
  return f32x4.pmin(f32x4.abs(x), f32x4.splat(13.1));
}

/** e^(-z^2/2). The rounding of the square costs up to z^2/4 units of the last place. */
// @ts-expect-error AssemblyScript's decorator
@inline
function bell(z: v128): v128 {
  return expBounded4(f32x4.mul(f32x4.mul(z, z), f32x4.splat(-0.5)));
}

/**
 * Phi(-z) e^(z^2/2) for z from 0 to 14.5: t q(t) with t = 1 / (1 + 0.34375 z) and q a polynomial of degree 8 (minimax, 3e-8
 * relative) by Estrin's scheme. Neither it nor the bell waits for the other.
 */
// @ts-expect-error AssemblyScript's decorator
@inline
function tailRatio(z: v128): v128 {
  const t = f32x4.div(f32x4.splat(1), madd(z, f32x4.splat(0.34375), f32x4.splat(1)));
  const t2 = f32x4.mul(t, t);
  const t4 = f32x4.mul(t2, t2);
  const a = madd(t, f32x4.splat(0.13752582669258118), f32x4.splat(0.1371205449104309));
  const b = madd(t, f32x4.splat(0.11210761219263077), f32x4.splat(0.11686955392360687));
  const c = madd(t, f32x4.splat(0.1887444704771042), f32x4.splat(-0.03790852054953575));
  const d = madd(t, f32x4.splat(0.1428045928478241), f32x4.splat(-0.2696817219257355));
  const low = madd(b, t2, a);
  const high = madd(t4, f32x4.splat(-0.02758234366774559), madd(d, t2, c));
  return f32x4.mul(t, madd(high, t4, low));
}

/** Phi(-z), the normal distribution's tail, for z from 0 to 13.1: relatively accurate, where 1 + erf would cancel. */
// @ts-expect-error AssemblyScript's decorator
@inline
function tail(z: v128): v128 {
  return f32x4.mul(bell(z), tailRatio(z));
}

/** The error function: an odd polynomial (minimax, 1e-9 relative) below 1, else 1 less the tail. */
// @ts-expect-error AssemblyScript's decorator
@inline
export function erf4(x: v128): v128 {
  const z = f32x4.mul(x, x);
  const z2 = f32x4.mul(z, z);
  const a = madd(z, f32x4.splat(-3.761262595653534e-1), f32x4.splat(1.1283791065216064));
  const b = madd(z, f32x4.splat(-2.6853812858462334e-2), f32x4.splat(1.128358542919159e-1));
  const c = madd(z, f32x4.splat(-8.010193705558777e-4), f32x4.splat(5.188327748328447e-3));
  const p = madd(madd(madd(z2, f32x4.splat(7.853861461626366e-5), c), z2, b), z2, a);
  const small = f32x4.mul(p, x);
  const size = f32x4.abs(x);
  const below = tail(bounded(f32x4.mul(size, f32x4.splat(1.4142135623730951))));
  let large = f32x4.sub(f32x4.splat(1), f32x4.add(below, below));
  large = v128.or(large, v128.and(x, i32x4.splat(0x80000000)));
  return v128.bitselect(large, small, f32x4.gt(size, f32x4.splat(1)));
}

/** 2 / sqrt(pi) e^(-x^2). */
// @ts-expect-error AssemblyScript's decorator
@inline
export function erfSlope4(x: v128): v128 {
  const z = f32x4.pmin(f32x4.abs(x), f32x4.splat(9.3));
  return f32x4.mul(expBounded4(f32x4.neg(f32x4.mul(z, z))), f32x4.splat(1.1283791670955126));
}

/** x Phi(x) = max(x, 0) - |x| Phi(-|x|): nothing cancels. */
// @ts-expect-error AssemblyScript's decorator
@inline
function gelu4(x: v128): v128 {
  const z = bounded(x);
  return f32x4.sub(f32x4.max(x, f32x4.splat(0)), f32x4.mul(z, tail(z)));
}

/** Phi(x) + x times the density; for x < 0 the tail less |x| times the density, for others 1 less that. */
// @ts-expect-error AssemblyScript's decorator
@inline
function geluSlope4(x: v128): v128 {
  const z = bounded(x);
  const height = bell(z);
  const density = f32x4.mul(f32x4.mul(z, height), f32x4.splat(0.39894228040143268));
  const below = f32x4.sub(f32x4.mul(height, tailRatio(z)), density);
  return v128.bitselect(below, f32x4.sub(f32x4.splat(1), below), f32x4.lt(x, f32x4.splat(0)));
}

// Order of `GatedActivation` in the backend contract.
// @ts-expect-error AssemblyScript's decorator
@inline
export const GELU = 0;
// @ts-expect-error AssemblyScript's decorator
@inline
export const GELU_TANH = 1;
// @ts-expect-error AssemblyScript's decorator
@inline
export const SILU = 2;

/** The others are x * sigmoid(inner(x)). From here down the sigmoid is 0, so that x times it is 0 at -infinity, too. */
// @ts-expect-error AssemblyScript's decorator
@inline
function lowered(activation: i32, x: v128): v128 {
  return f32x4.pmax(x, f32x4.splat(activation == SILU ? -88 : -10));
}

/**
 * e^-inner(x): x for SiLU; for the GELU by tanh, whose (1 + tanh(u)) / 2 is sigmoid(2 u) and so does not cancel for negative
 * x, 2 u = 2 sqrt(2 / pi) (x + 0.044715 x^3).
 */
// @ts-expect-error AssemblyScript's decorator
@inline
function powerOf(activation: i32, x: v128): v128 {
  let minus: v128;
  if (activation == SILU) minus = f32x4.neg(x);
  else {
    const factor = madd(f32x4.mul(x, x), f32x4.splat(-0.07135481627260025), f32x4.splat(-1.5957691216057308));
    minus = f32x4.mul(x, factor);
  }
  return expBounded4(f32x4.pmax(minus, f32x4.splat(-87)));
}

// @ts-expect-error AssemblyScript's decorator
@inline
export function activation4(activation: i32, given: v128): v128 {
  if (activation == GELU) return gelu4(given);
  const x = lowered(activation, given);
  return f32x4.div(x, f32x4.add(f32x4.splat(1), powerOf(activation, x)));
}

/** s + x inner'(x) s (1 - s) with s = sigmoid(inner(x)). */
// @ts-expect-error AssemblyScript's decorator
@inline
export function activationSlope4(activation: i32, given: v128): v128 {
  if (activation == GELU) return geluSlope4(given);
  const x = lowered(activation, given);
  const e = powerOf(activation, x);
  const s = f32x4.div(f32x4.splat(1), f32x4.add(f32x4.splat(1), e));
  const product = f32x4.mul(f32x4.mul(e, s), s); // 1 - s would cancel
  // Where s is 1 the product is 0, and infinity times it would be NaN.
  const z = f32x4.pmin(x, f32x4.splat(activation == SILU ? 88 : 10));
  if (activation == SILU) return madd(z, product, s);
  const inner = madd(f32x4.mul(z, z), f32x4.splat(0.21406444881780073), f32x4.splat(1.5957691216057308));
  return madd(f32x4.mul(inner, z), product, s);
}
