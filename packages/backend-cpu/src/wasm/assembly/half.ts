// f16 and bf16 to f32 and back; rounding to nearest with ties to even.

import { widenF16 } from "./lanes";

export function widenF16Row(x: usize, out: usize, count: usize): void {
  const end = out + ((count & ~3) << 2);
  while (out < end) {
    v128.store(out, widenF16(v128.load_ext<u16>(x)));
    x += 8;
    out += 16;
  }
  for (let rest = count & 3; rest > 0; rest--) {
    v128.store_lane<f32>(out, widenF16(i32x4.splat(<i32>load<u16>(x))), 0);
    x += 2;
    out += 4;
  }
}

export function widenBf16Row(x: usize, out: usize, count: usize): void {
  const end = out + ((count & ~3) << 2);
  while (out < end) {
    v128.store(out, i32x4.shl(v128.load_ext<u16>(x), 16));
    x += 8;
    out += 16;
  }
  for (let rest = count & 3; rest > 0; rest--) {
    store<u32>(out, (<u32>load<u16>(x)) << 16);
    x += 2;
    out += 4;
  }
}

// @ts-expect-error AssemblyScript's decorator
@inline
function narrowBf16(bits: v128): v128 {
  const high = i32x4.shr_u(bits, 16);
  const odd = v128.and(high, i32x4.splat(1));
  const rounded = i32x4.shr_u(i32x4.add(i32x4.add(bits, i32x4.splat(0x7fff)), odd), 16);
  const nan = i32x4.gt_s(v128.and(bits, i32x4.splat(0x7fffffff)), i32x4.splat(0x7f800000));
  return v128.bitselect(v128.or(high, i32x4.splat(0x40)), rounded, nan);
}

/** After F. Giesen's float_to_half_fast3_rtne: the sum with 0.5 lets the adder round subnormal results. */
// @ts-expect-error AssemblyScript's decorator
@inline
function narrowF16(bits: v128): v128 {
  const magnitude = v128.and(bits, i32x4.splat(0x7fffffff));
  const sign = i32x4.shr_u(v128.and(bits, i32x4.splat(0x80000000)), 16);
  const odd = v128.and(i32x4.shr_u(magnitude, 13), i32x4.splat(1));
  const normal = i32x4.shr_u(i32x4.add(i32x4.add(magnitude, i32x4.splat(0xc8000fff)), odd), 13);
  const half = f32x4.splat(0.5);
  const subnormal = i32x4.sub(f32x4.add(magnitude, half), half);
  let result = v128.bitselect(subnormal, normal, i32x4.lt_s(magnitude, i32x4.splat(0x38800000)));
  result = v128.bitselect(i32x4.splat(0x7c00), result, i32x4.ge_s(magnitude, i32x4.splat(0x477ff000)));
  result = v128.bitselect(i32x4.splat(0x7e00), result, i32x4.gt_s(magnitude, i32x4.splat(0x7f800000)));
  return v128.or(result, sign);
}

export function narrowBf16Row(x: usize, out: usize, count: usize): void {
  for (const end = out + ((count & ~3) << 1); out < end; out += 8) {
    const halves = narrowBf16(v128.load(x));
    v128.store_lane<u64>(out, i16x8.narrow_i32x4_u(halves, halves), 0);
    x += 16;
  }
  for (let rest = count & 3; rest > 0; rest--) {
    v128.store_lane<u16>(out, narrowBf16(v128.load32_splat(x)), 0);
    x += 4;
    out += 2;
  }
}

export function narrowF16Row(x: usize, out: usize, count: usize): void {
  for (const end = out + ((count & ~3) << 1); out < end; out += 8) {
    const halves = narrowF16(v128.load(x));
    v128.store_lane<u64>(out, i16x8.narrow_i32x4_u(halves, halves), 0);
    x += 16;
  }
  for (let rest = count & 3; rest > 0; rest--) {
    v128.store_lane<u16>(out, narrowF16(v128.load32_splat(x)), 0);
    x += 4;
    out += 2;
  }
}

/** f32 of i32, rounded to the nearest. */
export function floatsOfI32(x: usize, out: usize, count: usize): void {
  let i: usize = 0;
  for (; i + 4 <= count; i += 4) v128.store(out + (i << 2), f32x4.convert_i32x4_s(v128.load(x + (i << 2))));
  for (; i < count; i++) store<f32>(out + (i << 2), <f32>load<i32>(x + (i << 2)));
}

/** f32 of u8, exact. */
export function floatsOfU8(x: usize, out: usize, count: usize): void {
  let i: usize = 0;
  for (; i + 8 <= count; i += 8) {
    const wide = v128.load_ext<u8>(x + i);
    v128.store(out + (i << 2), f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(wide)));
    v128.store(out + (i << 2), f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(wide)), 16);
  }
  for (; i < count; i++) store<f32>(out + (i << 2), <f32>load<u8>(x + i));
}

/** i32 of f32 towards zero, the nearest one beyond the range, 0 of NaN. */
export function i32OfFloats(x: usize, out: usize, count: usize): void {
  let i: usize = 0;
  for (; i + 4 <= count; i += 4) v128.store(out + (i << 2), i32x4.trunc_sat_f32x4_s(v128.load(x + (i << 2))));
  for (; i < count; i++) v128.store_lane<u32>(out + (i << 2), i32x4.trunc_sat_f32x4_s(v128.load32_splat(x + (i << 2))), 0);
}

/** The same to u8. */
export function u8OfFloats(x: usize, out: usize, count: usize): void {
  let i: usize = 0;
  for (; i + 8 <= count; i += 8) {
    const low = i32x4.trunc_sat_f32x4_s(v128.load(x + (i << 2)));
    const high = i32x4.trunc_sat_f32x4_s(v128.load(x + (i << 2), 16));
    // Both steps saturate: to i16, then to u8.
    const words = i16x8.narrow_i32x4_s(low, high);
    v128.store_lane<u64>(out + i, i8x16.narrow_i16x8_u(words, words), 0);
  }
  for (; i < count; i++) {
    const value = i32x4.extract_lane(i32x4.trunc_sat_f32x4_s(v128.load32_splat(x + (i << 2))), 0);
    store<u8>(out + i, <u8>max(0, min(255, value)));
  }
}
