import type { Library } from "./library.ts";

/** Roots, signs, and powers with a fixed exponent, as C's pow has them. */
export const powers: Library = {
  sqrt_of: /* wgsl */ `
fn sqrt_of(x: f32) -> f32 {
  if (is_nan(x) || is_zero(x) || (is_infinite(x) && !is_negative(x))) { return x; }
  if (is_negative(x)) { return nan(); }
  return sqrt(x);
}`,
  rsqrt_of: /* wgsl */ `
fn rsqrt_of(x: f32) -> f32 {
  if (is_nan(x)) { return x; }
  if (is_zero(x)) { return select(infinity(), -infinity(), is_negative(x)); }
  if (is_negative(x)) { return nan(); }
  if (is_infinite(x)) { return 0.0; }
  return 1.0 / sqrt(x);
}`,
  sign_of: /* wgsl */ `
fn sign_of(x: f32) -> f32 {
  if (is_nan(x) || is_zero(x)) { return x; }
  return select(1.0, -1.0, is_negative(x));
}`,
  // Small whole exponents by repeated squaring.
  power_whole: /* wgsl */ `
fn power_whole(x: f32, exponent: i32) -> f32 {
  var rest = u32(abs(exponent));
  var square = x;
  var result = 1.0;
  while (rest > 0u) {
    if ((rest & 1u) == 1u) { result = result * square; }
    rest = rest >> 1u;
    if (rest > 0u) { square = square * square; }
  }
  return select(result, 1.0 / result, exponent < 0);
}`,
  // 2^(y log2 x) for finite positive x: the exponent's part of the logarithm is multiplied in two exact halves.
  power_real: /* wgsl */ `
fn power_real(x: f32, y: f32) -> f32 {
  let parts = log_parts(x);
  let m = parts.x;
  let z = m * m;
  let fraction = (log_tail(m) * m * z - z * 0.5 + m) * 1.44269504088896341;
  let high = bitcast<f32>(bitcast<u32>(y) & 0xfffff000u);
  let low = y - high;
  let whole = high * parts.y;
  let rest = low * parts.y + y * fraction;
  if (!is_finite(whole + rest) || abs(whole + rest) > 400.0) { return select(0.0, infinity(), whole + rest > 0.0); }
  let n = floor(whole + rest + 0.5);
  let r = (rounded(whole - n) + rest) * 0.693147180559945;
  let value = exp_rest(r) * r * r + r + 1.0;
  if (n > 128.0) { return infinity(); }
  if (n < -150.0) { return 0.0; }
  return scaled(value, i32(n));
}`,
  power_of: /* wgsl */ `
fn power_of(x: f32, y: f32) -> f32 {
  if (is_zero(y) || equals(x, 1.0)) { return 1.0; }
  if (is_nan(x)) { return x; }
  if (is_nan(y)) { return y; }
  let size = abs(x);
  if (is_infinite(y)) {
    if (size == 1.0) { return 1.0; }
    return select(0.0, infinity(), (size > 1.0) == (y > 0.0));
  }
  let whole = floor(y) == y;
  let odd = whole && abs(y) < 16777216.0 && (u32(abs(y)) & 1u) == 1u;
  let sign = select(1.0, -1.0, odd && is_negative(x));
  if (is_zero(x) || is_infinite(x)) {
    return sign * select(0.0, infinity(), is_infinite(x) == (y > 0.0));
  }
  if (is_negative(x) && !whole) { return nan(); }
  if (whole && abs(y) <= 64.0) { return power_whole(x, i32(y)); }
  if (y == 0.5) { return sqrt(size); }
  if (y == -0.5) { return 1.0 / sqrt(size); }
  return sign * power_real(size, y);
}`,
};
