import type { Library } from "./library.ts";

/** Numbers as unevaluated sums of two f32 (Dekker, 1971): about 48 bits. `rounded` keeps compilers from cancelling the errors. */
export const doubles: Library = {
  // The sum and its rounding error (Knuth).
  two_sum: /* wgsl */ `
fn two_sum(a: f32, b: f32) -> vec2f {
  let sum = rounded(a + b);
  if (!is_finite(sum)) { return vec2f(sum, 0.0); }
  let other = rounded(sum - a);
  return vec2f(sum, rounded(a - rounded(sum - other)) + rounded(b - other));
}`,
  add_doubles: /* wgsl */ `
fn add_doubles(a: vec2f, b: vec2f) -> vec2f {
  let sum = two_sum(a.x, b.x);
  if (!is_finite(sum.x)) { return sum; }
  return two_sum(sum.x, sum.y + a.y + b.y);
}`,
  // A float's upper 12 bits of mantissa; the rest has 12 as well, so that products of halves are exact.
  upper_half: /* wgsl */ `
fn upper_half(x: f32) -> f32 { return bitcast<f32>(bitcast<u32>(x) & 0xfffff000u); }`,
  multiply_doubles: /* wgsl */ `
fn multiply_doubles(a: vec2f, b: vec2f) -> vec2f {
  let product = rounded(a.x * b.x);
  if (!is_finite(product)) { return vec2f(product, 0.0); }
  let high = vec2f(upper_half(a.x), upper_half(b.x));
  let low = vec2f(rounded(a.x - high.x), rounded(b.x - high.y));
  var error = rounded(rounded(high.x * high.y) - product);
  error = rounded(error + rounded(high.x * low.y));
  error = rounded(error + rounded(low.x * high.y));
  error = rounded(error + rounded(low.x * low.y));
  return two_sum(product, error + (a.x * b.y + a.y * b.x));
}`,
};
