import type { Library } from "./library.ts";

// WGSL promises little of its own exp and log (3 + 2 |x| units of the last place; an absolute error near 1). These are made of sums
// and products, which it rounds correctly, and of bits.

/** Exponentials, logarithms and what is made of them; errors of a few units of the last place. NaN stays NaN. */
export const exponentials: Library = {
  // 2^n for n from -126 to 127.
  power_of_two: /* wgsl */ `
fn power_of_two(n: i32) -> f32 { return bitcast<f32>(u32(n + 127) << 23u); }`,
  // value * 2^n in two steps, so that 2^128 is no infinity on the way.
  scaled: /* wgsl */ `
fn scaled(value: f32, n: i32) -> f32 {
  let half = n >> 1u;
  return value * power_of_two(half) * power_of_two(n - half);
}`,
  // e^r - 1 - r over r^2 for |r| up to ln(2) / 2, a minimax fit (3e-9 relative).
  exp_rest: /* wgsl */ `
fn exp_rest(r: f32) -> f32 {
  return (((1.395052415318787e-3 * r + 8.368908427655697e-3) * r + 4.166620597243309e-2) * r + 1.66665181517601e-1) * r + 0.5;
}`,
  // The exponent n of e^x = 2^n e^r, for |x| below 200.
  exp_power: /* wgsl */ `
fn exp_power(x: f32) -> f32 { return floor(x * 1.44269504088896341 + 0.5); }`,
  // x - n ln 2 with ln 2 in two parts (Cody and Waite); n times the first is exact.
  exp_reduced: /* wgsl */ `
fn exp_reduced(x: f32, n: f32) -> f32 { return rounded(x - rounded(n * 0.693359375)) + n * 2.12194440e-4; }`,
  // e^x = 2^n e^r
  exp_of: /* wgsl */ `
fn exp_of(x: f32) -> f32 {
  if (is_nan(x)) { return x; }
  if (x > 88.8) { return infinity(); }
  if (x < -104.0) { return 0.0; }
  let n = exp_power(x);
  let r = exp_reduced(x, n);
  return scaled(exp_rest(r) * r * r + r + 1.0, i32(n));
}`,
  // e^x - 1 = 2^n (e^r - 1) + (2^n - 1)
  expm1_of: /* wgsl */ `
fn expm1_of(x: f32) -> f32 {
  if (is_nan(x)) { return x; }
  if (x > 80.0) { return exp_of(x); }
  let bounded = max(x, -80.0);
  let n = exp_power(bounded);
  let r = exp_reduced(bounded, n);
  let power = power_of_two(i32(n));
  return (exp_rest(r) * r * r + r) * power + (power - 1.0);
}`,
  // Cephes' logf: log of m in [sqrt(1/2), sqrt(2)), and the exponent times ln 2 in two parts.
  log_of: /* wgsl */ `
fn log_of(x: f32) -> f32 {
  if (is_nan(x)) { return x; }
  if (is_zero(x)) { return -infinity(); }
  if (is_negative(x)) { return nan(); }
  if (is_infinite(x)) { return x; }
  let parts = log_parts(x);
  let m = parts.x;
  let e = parts.y;
  let z = m * m;
  return e * 0.693359375 + (m + ((log_tail(m) * m * z - e * 2.12194440e-4) - z * 0.5));
}`,
  // m - 1 and the exponent e of x = m 2^e, with m in [sqrt(1/2), sqrt(2)), of a positive x
  log_parts: /* wgsl */ `
fn log_parts(x: f32) -> vec2f {
  var pattern = bitcast<u32>(x);
  var e = i32(pattern >> 23u) - 126;
  if (e == -126) {
    // Subnormal: the leading 1 is brought to its place.
    let shift = countLeadingZeros(pattern) - 8u;
    pattern = pattern << shift;
    e = -125 - i32(shift);
  }
  var m = bitcast<f32>((pattern & 0x007fffffu) | 0x3f000000u);
  if (m < 0.707106781186547524) {
    e -= 1;
    m = m + m;
  }
  return vec2f(m - 1.0, f32(e));
}`,
  log_tail: /* wgsl */ `
fn log_tail(m: f32) -> f32 {
  var q = 7.0376836292e-2 * m - 1.1514610310e-1;
  q = q * m + 1.1676998740e-1;
  q = q * m - 1.2420140846e-1;
  q = q * m + 1.4249322787e-1;
  q = q * m - 1.6668057665e-1;
  q = q * m + 2.0000714765e-1;
  q = q * m - 2.4999993993e-1;
  return q * m + 3.3333331174e-1;
}`,
  // log(1 + x): of the rounded sum, less what the rounding added.
  log1p_of: /* wgsl */ `
fn log1p_of(x: f32) -> f32 {
  let sum = rounded(x + 1.0);
  if (!is_finite(sum) || is_zero(sum)) { return log_of(sum); }
  let error = rounded(sum - 1.0) - x;
  return log_of(sum) - error / sum;
}`,
  sigmoid_of: /* wgsl */ `
fn sigmoid_of(x: f32) -> f32 {
  if (is_nan(x)) { return x; }
  return 1.0 / (1.0 + exp_of(clamp(-x, -87.0, 88.0)));
}`,
  // max(x, 0) + log(1 + e^-|x|)
  softplus_of: /* wgsl */ `
fn softplus_of(x: f32) -> f32 {
  if (is_nan(x)) { return x; }
  return max(x, 0.0) + log1p_of(exp_of(-abs(x)));
}`,
  // Cephes' tanhf: an odd polynomial below 0.625, else 1 - 2 / (e^2x + 1).
  tanh_of: /* wgsl */ `
fn tanh_of(x: f32) -> f32 {
  if (is_nan(x)) { return x; }
  let size = abs(x);
  if (size < 0.625) {
    let z = x * x;
    var q = z * -5.70498872745e-3 + 2.06390887954e-2;
    q = q * z - 5.37397155531e-2;
    q = q * z + 1.33314422036e-1;
    q = q * z - 3.33332819422e-1;
    return q * z * x + x;
  }
  let e = exp_of(min(size + size, 88.0));
  let large = 1.0 - 2.0 / (e + 1.0);
  return select(large, -large, x < 0.0);
}`,
};
