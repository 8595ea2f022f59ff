import type { Library } from "./library.ts";

/** Sine and cosine of any f32, to a few units of the last place of 1. */
export const trigonometry: Library = {
  // The first 256 bits of 2 / pi, behind a word of zeros.
  two_over_pi: /* wgsl */ `
fn two_over_pi(word: u32) -> u32 {
  switch (word) {
    case 1u: { return 0xa2f9836eu; }
    case 2u: { return 0x4e441529u; }
    case 3u: { return 0xfc2757d1u; }
    case 4u: { return 0xf534ddc0u; }
    case 5u: { return 0xdb629599u; }
    case 6u: { return 0x3c439041u; }
    case 7u: { return 0xfe5163abu; }
    case 8u: { return 0xdebbc561u; }
    default: { return 0u; }
  }
}`,
  two_over_pi_from: /* wgsl */ `
fn two_over_pi_from(bit: u32) -> u32 {
  let word = bit / 32u;
  let shift = bit % 32u;
  if (shift == 0u) { return two_over_pi(word); }
  return (two_over_pi(word) << shift) | (two_over_pi(word + 1u) >> (32u - shift));
}`,
  // |x| - n pi/2 and n modulo 4, after Payne and Hanek (1983): m 2/pi modulo 4 in 96 bits, for x = m 2^e of at least 2^13.
  reduced_far: /* wgsl */ `
fn reduced_far(x: f32) -> vec2f {
  let pattern = bitcast<u32>(x);
  let m = (pattern & 0x007fffffu) | 0x00800000u;
  // Bit 0 of the table weighs 2^32; the first one wanted weighs 2^(1 - e).
  let first = ((pattern >> 23u) & 0xffu) - 150u + 30u;
  let high = two_over_pi_from(first);
  let middle = wide_product(m, two_over_pi_from(first + 32u));
  let low = wide_product(m, two_over_pi_from(first + 64u));
  let lower = low.y + middle.x;
  let upper = high * m + middle.y + u32(lower < low.y);
  var quadrant = upper >> 30u;
  // The fraction in 64 bits, its nearest integer taken off.
  var a = (upper << 2u) | (lower >> 30u);
  var b = (lower << 2u) | (low.x >> 30u);
  let negative = (a >> 31u) == 1u;
  if (negative) {
    quadrant += 1u;
    a = ~a;
    b = ~b + 1u;
    if (b == 0u) { a += 1u; }
  }
  let fraction = (f32(a) + f32(b) * 2.3283064365386963e-10) * 2.3283064365386963e-10;
  let r = fraction * 1.5707963267948966;
  return vec2f(select(r, -r, negative), f32(quadrant & 3u));
}`,
  // x - n pi/2 with pi/2 in three parts (Cephes), for |x| below 2^13.
  reduced_near: /* wgsl */ `
fn reduced_near(x: f32) -> vec2f {
  let n = floor(x * 0.63661977236758134 + 0.5);
  var r = rounded(x - rounded(n * 1.5703125));
  r = rounded(r - rounded(n * 4.837512969970703125e-4));
  r = r - n * 7.54978995489188216e-8;
  return vec2f(r, f32(i32(n) & 3));
}`,
  // sin(x + quarter pi/2)
  sine_from: /* wgsl */ `
fn sine_from(x: f32, quarter: u32) -> f32 {
  if (!is_finite(x)) { return nan(); }
  let far = abs(x) >= 8192.0;
  var turned = reduced_near(select(x, 0.0, far));
  if (far) {
    turned = reduced_far(abs(x));
    // sin(-|x|): the reduction of -x is that of |x| with both signs turned.
    if (x < 0.0) { turned = vec2f(-turned.x, f32((4u - u32(turned.y)) & 3u)); }
  }
  let quadrant = u32(turned.y) + quarter;
  let r = turned.x;
  let z = r * r;
  var value = ((z * -1.9515295891e-4 + 8.3321608736e-3) * z - 1.6666654611e-1) * z * r + r;
  if ((quadrant & 1u) == 1u) {
    value = (((z * 2.443315711809948e-5 - 1.388731625493765e-3) * z + 4.166664568298827e-2) * z - 0.5) * z + 1.0;
  }
  return select(value, -value, (quadrant & 2u) == 2u);
}`,
  sin_of: /* wgsl */ `
fn sin_of(x: f32) -> f32 { return sine_from(x, 0u); }`,
  cos_of: /* wgsl */ `
fn cos_of(x: f32) -> f32 { return sine_from(x, 1u); }`,
};
