import type { Library } from "./library.ts";

/** f16 and bf16 as bits: exact both ways, subnormal numbers included, whatever the device does with them in arithmetic. */
export const halves: Library = {
  // The f32's bits.
  widen_f16: /* wgsl */ `
fn widen_f16(half: u32) -> u32 {
  let sign = (half & 0x8000u) << 16u;
  let exponent = (half >> 10u) & 0x1fu;
  let mantissa = half & 0x3ffu;
  if (exponent == 0x1fu) { return sign | 0x7f800000u | (mantissa << 13u); }
  if (exponent != 0u) { return sign | ((exponent + 112u) << 23u) | (mantissa << 13u); }
  if (mantissa == 0u) { return sign; }
  let shift = countLeadingZeros(mantissa) - 21u;
  return sign | ((113u - shift) << 23u) | (((mantissa << shift) & 0x3ffu) << 13u);
}`,
  // To the nearest, ties to even.
  narrow_f16: /* wgsl */ `
fn narrow_f16(pattern: u32) -> u32 {
  let sign = (pattern >> 16u) & 0x8000u;
  let size = pattern & 0x7fffffffu;
  if (size > 0x7f800000u) { return sign | 0x7e00u; }
  if (size >= 0x477ff000u) { return sign | 0x7c00u; }
  if (size >= 0x38800000u) {
    let odd = (size >> 13u) & 1u;
    return sign | ((size - 0x38000000u + 0xfffu + odd) >> 13u);
  }
  if (size < 0x33000000u) { return sign; }
  // Subnormal: the mantissa in units of 2^-24.
  let shift = 126u - (size >> 23u);
  let mantissa = (size & 0x7fffffu) | 0x800000u;
  let kept = mantissa >> shift;
  let rest = mantissa & ((1u << shift) - 1u);
  let half = 1u << (shift - 1u);
  return sign | (kept + u32(rest > half || (rest == half && (kept & 1u) == 1u)));
}`,
  narrow_bf16: /* wgsl */ `
fn narrow_bf16(pattern: u32) -> u32 {
  if ((pattern & 0x7fffffffu) > 0x7f800000u) { return (pattern >> 16u) | 0x40u; }
  return (pattern + 0x7fffu + ((pattern >> 16u) & 1u)) >> 16u;
}`,
};
