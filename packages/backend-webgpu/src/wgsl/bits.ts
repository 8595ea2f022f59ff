import type { Library } from "./library.ts";

// WGSL lets a compiler assume that there is no NaN and no infinity, and fold tests for them away. These look at the bits instead,
// and make infinities and NaN from bits that the compiler does not see through.

/** What a float is. */
export const bits: Library = {
  is_nan: /* wgsl */ `
fn is_nan(x: f32) -> bool { return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u; }`,
  is_finite: /* wgsl */ `
fn is_finite(x: f32) -> bool { return (bitcast<u32>(x) & 0x7f800000u) != 0x7f800000u; }`,
  is_infinite: /* wgsl */ `
fn is_infinite(x: f32) -> bool { return (bitcast<u32>(x) & 0x7fffffffu) == 0x7f800000u; }`,
  is_zero: /* wgsl */ `
fn is_zero(x: f32) -> bool { return (bitcast<u32>(x) & 0x7fffffffu) == 0u; }`,
  is_negative: /* wgsl */ `
fn is_negative(x: f32) -> bool { return bitcast<i32>(x) < 0; }`,
  // The number of groups is never 2^32 - 1, which only the host knows.
  float_of: /* wgsl */ `
fn float_of(pattern: u32) -> f32 { return bitcast<f32>(pattern ^ u32(p.groups == 0xffffffffu)); }`,
  // The number itself, which compilers of software adapters do not know: loops of so many turns are not unrolled, which takes
  // them seconds. GPUs may.
  opaque: /* wgsl */ `
fn opaque(count: u32) -> u32 { return count + u32(SOFTWARE && p.groups == 0xffffffffu); }`,
  infinity: /* wgsl */ `
fn infinity() -> f32 { return float_of(0x7f800000u); }`,
  nan: /* wgsl */ `
fn nan() -> f32 { return float_of(0x7fc00000u); }`,
  // The value itself, rounded to f32: nothing is fused with what comes before, nor reassociated across it.
  rounded: /* wgsl */ `
fn rounded(x: f32) -> f32 { return float_of(bitcast<u32>(x)); }`,
  larger: /* wgsl */ `
fn larger(a: f32, b: f32) -> f32 {
  if (is_nan(a)) { return a; }
  if (is_nan(b)) { return b; }
  return select(b, a, a > b);
}`,
  smaller: /* wgsl */ `
fn smaller(a: f32, b: f32) -> f32 {
  if (is_nan(a)) { return a; }
  if (is_nan(b)) { return b; }
  return select(b, a, a < b);
}`,
  // The largest of a row as what exponents are taken relative to: 0 where it is infinite, which would give NaN.
  offset_of: /* wgsl */ `
fn offset_of(largest: f32) -> f32 { return select(largest, 0.0, is_infinite(largest)); }`,
  // Unsigned integers in the order of floats; both zeros are equal, and NaN is larger than all numbers.
  order_of: /* wgsl */ `
fn order_of(x: f32) -> u32 {
  if (is_nan(x)) { return 0xffffffffu; }
  if (is_zero(x)) { return 0x80000000u; }
  let pattern = bitcast<u32>(x);
  return select(pattern | 0x80000000u, ~pattern, is_negative(x));
}`,
  less_than: /* wgsl */ `
fn less_than(a: f32, b: f32) -> bool { return !is_nan(a) && !is_nan(b) && a < b; }`,
  at_most: /* wgsl */ `
fn at_most(a: f32, b: f32) -> bool { return !is_nan(a) && !is_nan(b) && a <= b; }`,
  equals: /* wgsl */ `
fn equals(a: f32, b: f32) -> bool { return !is_nan(a) && !is_nan(b) && a == b; }`,
};
