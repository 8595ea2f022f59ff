// Helpers of the kernels on weights as they are stored.

import { madd, storeFirst, widenF16 } from "./lanes";

/** Lane `i` in all four. */
// @ts-expect-error AssemblyScript's decorator
@inline
export function lane0(v: v128): v128 {
  return v128.shuffle<f32>(v, v, 0, 0, 0, 0);
}
// @ts-expect-error AssemblyScript's decorator
@inline
export function lane1(v: v128): v128 {
  return v128.shuffle<f32>(v, v, 1, 1, 1, 1);
}
// @ts-expect-error AssemblyScript's decorator
@inline
export function lane2(v: v128): v128 {
  return v128.shuffle<f32>(v, v, 2, 2, 2, 2);
}
// @ts-expect-error AssemblyScript's decorator
@inline
export function lane3(v: v128): v128 {
  return v128.shuffle<f32>(v, v, 3, 3, 3, 3);
}

/** The f16 at each of four places, in the low halves of the lanes. */
// @ts-expect-error AssemblyScript's decorator
@inline
export function fourHalves(w0: usize, w1: usize, w2: usize, w3: usize): v128 {
  let v = i32x4.splat(<i32>load<u16>(w0));
  v = v128.load_lane<u16>(w1, v, 2);
  v = v128.load_lane<u16>(w2, v, 4);
  return v128.load_lane<u16>(w3, v, 6);
}

/** The 32 bits at each of four places. */
// @ts-expect-error AssemblyScript's decorator
@inline
export function fourWords(w0: usize, w1: usize, w2: usize, w3: usize): v128 {
  let v = v128.load32_splat(w0);
  v = v128.load_lane<u32>(w1, v, 1);
  v = v128.load_lane<u32>(w2, v, 2);
  return v128.load_lane<u32>(w3, v, 3);
}

/** The f16 in front of four blocks, as f32. */
// @ts-expect-error AssemblyScript's decorator
@inline
export function fourScales(at: usize, blockBytes: usize): v128 {
  const halves = fourHalves(at, at + blockBytes, at + 2 * blockBytes, at + 3 * blockBytes);
  return widenF16(v128.and(halves, i32x4.splat(0xffff)));
}

/** The sum of each vector's lanes, side by side. */
// @ts-expect-error AssemblyScript's decorator
@inline
export function fourSums(a0: v128, a1: v128, a2: v128, a3: v128): v128 {
  const t0 = f32x4.add(v128.shuffle<f32>(a0, a1, 0, 4, 1, 5), v128.shuffle<f32>(a0, a1, 2, 6, 3, 7));
  const t1 = f32x4.add(v128.shuffle<f32>(a2, a3, 0, 4, 1, 5), v128.shuffle<f32>(a2, a3, 2, 6, 3, 7));
  return f32x4.add(v128.shuffle<f64>(t0, t1, 0, 2), v128.shuffle<f64>(t0, t1, 1, 3));
}

/** Stores all lanes, or the first `count` of them. */
// @ts-expect-error AssemblyScript's decorator
@inline
export function storeUpTo(out: usize, v: v128, count: usize): void {
  if (count >= 4) v128.store(out, v);
  else storeFirst(out, v, count);
}

/**
 * Products of 16 low and 16 high halves of bytes with `storedPrepare`'s numbers, lane by lane: what stands further left in a 32-bit
 * word is larger by a power of two, by which its factor is smaller.
 */
// @ts-expect-error AssemblyScript's decorator
@inline
export function lowHalves(v: v128, x: usize): v128 {
  const a = f32x4.mul(f32x4.convert_i32x4_s(v128.and(v, i32x4.splat(0x0000000f))), v128.load(x));
  const b = f32x4.mul(f32x4.convert_i32x4_s(v128.and(v, i32x4.splat(0x00000f00))), v128.load(x, 16));
  const c = madd(f32x4.convert_i32x4_s(v128.and(v, i32x4.splat(0x000f0000))), v128.load(x, 32), a);
  const d = madd(f32x4.convert_i32x4_s(v128.and(v, i32x4.splat(0x0f000000))), v128.load(x, 48), b);
  return f32x4.add(c, d);
}
// @ts-expect-error AssemblyScript's decorator
@inline
export function highHalves(v: v128, x: usize): v128 {
  const a = f32x4.mul(f32x4.convert_i32x4_s(v128.and(v, i32x4.splat(0x000000f0))), v128.load(x));
  const b = f32x4.mul(f32x4.convert_i32x4_s(v128.and(v, i32x4.splat(0x0000f000))), v128.load(x, 16));
  const c = madd(f32x4.convert_i32x4_s(v128.and(v, i32x4.splat(0x00f00000))), v128.load(x, 32), a);
  const d = madd(f32x4.convert_i32x4_s(i32x4.shr_u(v, 28)), v128.load(x, 48), b);
  return f32x4.add(c, d);
}

/** Products of 16 signed bytes with `storedPrepare`'s numbers, lane by lane, times 2^24. */
// @ts-expect-error AssemblyScript's decorator
@inline
export function signedBytes(v: v128, x: usize): v128 {
  const top = i32x4.splat(0xff000000);
  const a = f32x4.mul(f32x4.convert_i32x4_s(i32x4.shl(v, 24)), v128.load(x));
  const b = f32x4.mul(f32x4.convert_i32x4_s(v128.and(i32x4.shl(v, 16), top)), v128.load(x, 16));
  const c = madd(f32x4.convert_i32x4_s(v128.and(i32x4.shl(v, 8), top)), v128.load(x, 32), a);
  const d = madd(f32x4.convert_i32x4_s(v128.and(v, top)), v128.load(x, 48), b);
  return f32x4.add(c, d);
}

/** The same with 16-bit factors: sums of whole numbers. */
// @ts-expect-error AssemblyScript's decorator
@inline
export function lowHalvesI16(v: v128, x: usize): v128 {
  const mask = i16x8.splat(15);
  return i32x4.add(
    i32x4.dot_i16x8_s(v128.and(v, mask), v128.load(x)),
    i32x4.dot_i16x8_s(v128.and(i16x8.shr_u(v, 8), mask), v128.load(x, 16)),
  );
}
// @ts-expect-error AssemblyScript's decorator
@inline
export function highHalvesI16(v: v128, x: usize): v128 {
  const mask = i16x8.splat(15);
  return i32x4.add(
    i32x4.dot_i16x8_s(v128.and(i16x8.shr_u(v, 4), mask), v128.load(x)),
    i32x4.dot_i16x8_s(i16x8.shr_u(v, 12), v128.load(x, 16)),
  );
}
// @ts-expect-error AssemblyScript's decorator
@inline
export function signedBytesI16(v: v128, x: usize): v128 {
  return i32x4.add(
    i32x4.dot_i16x8_s(i16x8.extend_low_i8x16_s(v), v128.load(x)),
    i32x4.dot_i16x8_s(i16x8.extend_high_i8x16_s(v), v128.load(x, 16)),
  );
}

/** The two f16 at an address as f32, in lanes 0 and 1. */
// @ts-expect-error AssemblyScript's decorator
@inline
export function twoHalves(at: usize): v128 {
  return widenF16(i32x4.extend_low_i16x8_u(v128.load32_zero(at)));
}

/** One f16 as f32 in all lanes. */
// @ts-expect-error AssemblyScript's decorator
@inline
export function oneHalf(at: usize): v128 {
  return widenF16(i32x4.splat(<i32>load<u16>(at)));
}

/** The eight scales and eight minima of a block of `q4_k` as bytes, from its 12 bytes at `at`: one after the other. */
// @ts-expect-error AssemblyScript's decorator
@inline
export function q4kScales(at: usize): v128 {
  const first = load<u32>(at);
  const second = load<u32>(at, 4);
  const third = load<u32>(at, 8);
  let v = i32x4.splat(first & 0x3f3f3f3f);
  v = i32x4.replace_lane(v, 1, (third & 0x0f0f0f0f) | (((first >> 6) & 0x03030303) << 4));
  v = i32x4.replace_lane(v, 2, second & 0x3f3f3f3f);
  return i32x4.replace_lane(v, 3, ((third >> 4) & 0x0f0f0f0f) | (((second >> 6) & 0x03030303) << 4));
}

/** Bytes 4 i to 4 i + 3 of those as f32: 0 and 1 are scales, 2 and 3 minima. */
// @ts-expect-error AssemblyScript's decorator
@inline
export function lowFour(words: v128): v128 {
  return f32x4.convert_i32x4_u(i32x4.extend_low_i16x8_u(words));
}
// @ts-expect-error AssemblyScript's decorator
@inline
export function highFour(words: v128): v128 {
  return f32x4.convert_i32x4_u(i32x4.extend_high_i16x8_u(words));
}

/** 16 of a `q6_k` block's q - 32 as signed bytes, from the low half of each byte of `low` and the low two bits of `high`. */
// @ts-expect-error AssemblyScript's decorator
@inline
export function q6kBytes(low: v128, high: v128): v128 {
  const two = i32x4.shl(v128.and(high, i32x4.splat(0x03030303)), 4);
  return i8x16.sub(v128.or(v128.and(low, i32x4.splat(0x0f0f0f0f)), two), i8x16.splat(32));
}

/** An f16 in the upper half of each lane as f32, if it is finite. */
// @ts-expect-error AssemblyScript's decorator
@inline
export function finiteHalves(upper: v128): v128 {
  return f32x4.mul(v128.and(i32x4.shr_s(upper, 3), i32x4.splat(0x8fffe000)), f32x4.splat(5.192296858534828e33));
}

/** Which of eight f16 are infinite or NaN. */
// @ts-expect-error AssemblyScript's decorator
@inline
export function specialHalves(v: v128): v128 {
  const exponent = i16x8.splat(0x7c00);
  return i16x8.eq(v128.and(v, exponent), exponent);
}
