// Rows of stored weights times a vector of 31-bit whole numbers, see `storedPrepareWide`: products of 16-bit integers, eight at a time,
// once with each number's upper half and once with its lower one. Per weight that is fewer instructions than making f32 of it, and no
// less exact. Two rows share what is read of the vector, and four blocks of a row go together, so that their scales are one vector.

import { madd, sumLanes, widenF16 } from "./lanes";
import { finiteHalves, fourHalves, fourWords, oneHalf, specialHalves, twoHalves } from "./stored-lanes";

/** What a unit of the lower half is worth beside one of the upper. */
const lowerUnit: f32 = 0.000030517578125;

/** Two vectors of whole numbers as one: the sum of each one's even lanes, and of its odd ones. */
// @ts-expect-error AssemblyScript's decorator
@inline
function folded(a: v128, b: v128): v128 {
  return i32x4.add(v128.shuffle<i32>(a, b, 0, 1, 4, 5), v128.shuffle<i32>(a, b, 2, 3, 6, 7));
}

/** Sums of two rows' products with upper and lower halves: lanes 0 and 1 are of the first, 2 and 3 of the second. */
// @ts-expect-error AssemblyScript's decorator
@inline
function joined(upper0: v128, lower0: v128, upper1: v128, lower1: v128): v128 {
  const lower = f32x4.convert_i32x4_s(folded(lower0, lower1));
  return madd(lower, f32x4.splat(lowerUnit), f32x4.convert_i32x4_s(folded(upper0, upper1)));
}

/** Products of the 32 half bytes at `at0` and of those at `at1`. */
// @ts-expect-error AssemblyScript's decorator
@inline
function halfBytes(at0: usize, at1: usize, x: usize): v128 {
  const mask = i16x8.splat(15);
  const v0 = v128.load(at0);
  const v1 = v128.load(at1);
  let high = v128.load(x);
  let low = v128.load(x, 16);
  let n0 = v128.and(v0, mask);
  let n1 = v128.and(v1, mask);
  let upper0 = i32x4.dot_i16x8_s(n0, high);
  let lower0 = i32x4.dot_i16x8_s(n0, low);
  let upper1 = i32x4.dot_i16x8_s(n1, high);
  let lower1 = i32x4.dot_i16x8_s(n1, low);
  high = v128.load(x, 32);
  low = v128.load(x, 48);
  n0 = v128.and(i16x8.shr_u(v0, 8), mask);
  n1 = v128.and(i16x8.shr_u(v1, 8), mask);
  upper0 = i32x4.add(upper0, i32x4.dot_i16x8_s(n0, high));
  lower0 = i32x4.add(lower0, i32x4.dot_i16x8_s(n0, low));
  upper1 = i32x4.add(upper1, i32x4.dot_i16x8_s(n1, high));
  lower1 = i32x4.add(lower1, i32x4.dot_i16x8_s(n1, low));
  high = v128.load(x, 64);
  low = v128.load(x, 80);
  n0 = v128.and(i16x8.shr_u(v0, 4), mask);
  n1 = v128.and(i16x8.shr_u(v1, 4), mask);
  upper0 = i32x4.add(upper0, i32x4.dot_i16x8_s(n0, high));
  lower0 = i32x4.add(lower0, i32x4.dot_i16x8_s(n0, low));
  upper1 = i32x4.add(upper1, i32x4.dot_i16x8_s(n1, high));
  lower1 = i32x4.add(lower1, i32x4.dot_i16x8_s(n1, low));
  high = v128.load(x, 96);
  low = v128.load(x, 112);
  n0 = i16x8.shr_u(v0, 12);
  n1 = i16x8.shr_u(v1, 12);
  upper0 = i32x4.add(upper0, i32x4.dot_i16x8_s(n0, high));
  lower0 = i32x4.add(lower0, i32x4.dot_i16x8_s(n0, low));
  upper1 = i32x4.add(upper1, i32x4.dot_i16x8_s(n1, high));
  lower1 = i32x4.add(lower1, i32x4.dot_i16x8_s(n1, low));
  return joined(upper0, lower0, upper1, lower1);
}

/** Products of the 32 signed bytes at `at0` and of those at `at1`. */
// @ts-expect-error AssemblyScript's decorator
@inline
function signed(at0: usize, at1: usize, x: usize): v128 {
  let v0 = v128.load(at0);
  let v1 = v128.load(at1);
  let upper0 = i32x4.splat(0);
  let lower0 = upper0, upper1 = upper0, lower1 = upper0;
  for (let half = 0; half < 2; half++) {
    let high = v128.load(x);
    let low = v128.load(x, 16);
    let n0 = i16x8.extend_low_i8x16_s(v0);
    let n1 = i16x8.extend_low_i8x16_s(v1);
    upper0 = i32x4.add(upper0, i32x4.dot_i16x8_s(n0, high));
    lower0 = i32x4.add(lower0, i32x4.dot_i16x8_s(n0, low));
    upper1 = i32x4.add(upper1, i32x4.dot_i16x8_s(n1, high));
    lower1 = i32x4.add(lower1, i32x4.dot_i16x8_s(n1, low));
    high = v128.load(x, 32);
    low = v128.load(x, 48);
    n0 = i16x8.extend_high_i8x16_s(v0);
    n1 = i16x8.extend_high_i8x16_s(v1);
    upper0 = i32x4.add(upper0, i32x4.dot_i16x8_s(n0, high));
    lower0 = i32x4.add(lower0, i32x4.dot_i16x8_s(n0, low));
    upper1 = i32x4.add(upper1, i32x4.dot_i16x8_s(n1, high));
    lower1 = i32x4.add(lower1, i32x4.dot_i16x8_s(n1, low));
    v0 = v128.load(at0, 16);
    v1 = v128.load(at1, 16);
    x += 64;
  }
  return joined(upper0, lower0, upper1, lower1);
}

/** Four f16, each in the upper half of a lane, as f32: by a short cut that infinities and NaN do not survive, or in full. */
// @ts-expect-error AssemblyScript's decorator
@inline
function halves(upper: v128, full: bool): v128 {
  return full ? widenF16(i32x4.shr_u(upper, 16)) : finiteHalves(upper);
}

/** Of both rows the first scale, as `joined` has them. */
// @ts-expect-error AssemblyScript's decorator
@inline
function firstScales(d0: v128, d1: v128): v128 {
  return v128.shuffle<f32>(d0, d1, 0, 0, 4, 4);
}

/** The scales of a row without the first, which goes to the end. */
// @ts-expect-error AssemblyScript's decorator
@inline
function nextScales(d: v128): v128 {
  return v128.shuffle<f32>(d, d, 1, 2, 3, 0);
}

/**
 * Two rows of `q4_0` (`d * (q - 8)`, blocks of 18 bytes) or `q4_1` (`d * q + m`, of 20): their products in lanes 0 and 1. What is added
 * to a block's products does not depend on q and meets the sum of its part of the vector. NaN where a scale is not finite, unless `full`.
 */
// @ts-expect-error AssemblyScript's decorator
@inline
function pairQ4(at0: usize, at1: usize, blocks: usize, x: usize, sums: usize, scales: usize, minimum: bool, full: bool): v128 {
  const header: usize = minimum ? 4 : 2;
  const size = header + 16;
  let a = f32x4.splat(0);
  let rest0 = a, rest1 = a, special = a;
  const parts = sums + ((blocks & ~3) << 2);
  const end = sums + (blocks << 2);
  for (; sums < parts; sums += 16) {
    let d0: v128, d1: v128, m0: v128, m1: v128;
    if (minimum) {
      d0 = fourWords(at0, at0 + 20, at0 + 40, at0 + 60);
      d1 = fourWords(at1, at1 + 20, at1 + 40, at1 + 60);
      if (!full) special = v128.or(special, v128.or(specialHalves(d0), specialHalves(d1)));
      m0 = halves(d0, full);
      m1 = halves(d1, full);
      d0 = halves(i32x4.shl(d0, 16), full);
      d1 = halves(i32x4.shl(d1, 16), full);
    } else {
      d0 = i32x4.shl(fourHalves(at0, at0 + 18, at0 + 36, at0 + 54), 16);
      d1 = i32x4.shl(fourHalves(at1, at1 + 18, at1 + 36, at1 + 54), 16);
      if (!full) special = v128.or(special, v128.or(specialHalves(d0), specialHalves(d1)));
      d0 = halves(d0, full);
      d1 = halves(d1, full);
      m0 = f32x4.mul(d0, f32x4.splat(-8));
      m1 = f32x4.mul(d1, f32x4.splat(-8));
    }
    const sum = v128.load(sums);
    rest0 = madd(m0, sum, rest0);
    rest1 = madd(m1, sum, rest1);
    const scale = v128.load(scales);
    d0 = f32x4.mul(d0, scale);
    d1 = f32x4.mul(d1, scale);
    // A loop: of straight code the compiler moves all loads to the beginning, and those of four blocks do not fit the registers.
    for (let block = 0; block < 4; block++) {
      a = madd(firstScales(d0, d1), halfBytes(at0 + header, at1 + header, x), a);
      d0 = nextScales(d0);
      d1 = nextScales(d1);
      at0 += size;
      at1 += size;
      x += 128;
    }
    scales += 16;
  }
  if (!full && v128.any_true(special)) return f32x4.splat(NaN);
  for (; sums < end; sums += 4) {
    const d0 = minimum ? twoHalves(at0) : oneHalf(at0);
    const d1 = minimum ? twoHalves(at1) : oneHalf(at1);
    const first = firstScales(d0, d1);
    const m = minimum ? firstScales(nextScales(d0), nextScales(d1)) : f32x4.mul(first, f32x4.splat(-8));
    const d = f32x4.mul(first, v128.load32_splat(scales));
    a = madd(d, halfBytes(at0 + header, at1 + header, x), a);
    // Lanes 0 and 2 alone: the others would count it twice.
    a = madd(v128.and(m, i64x2.splat(0xffffffff)), v128.load32_splat(sums), a);
    at0 += size;
    at1 += size;
    scales += 4;
    x += 128;
  }
  a = f32x4.add(a, v128.shuffle<f32>(a, a, 1, 0, 3, 2));
  a = v128.shuffle<f32>(a, a, 0, 2, 0, 2);
  return f32x4.add(a, f32x4.replace_lane(f32x4.splat(sumLanes(rest0)), 1, sumLanes(rest1)));
}

/** Rows whose scales are not finite, or a vector that is not: rare, and then whatever arithmetic says. */
function fullQ4(at0: usize, at1: usize, blocks: usize, x: usize, sums: usize, scales: usize, minimum: bool): v128 {
  return minimum
    ? pairQ4(at0, at1, blocks, x, sums, scales, true, true)
    : pairQ4(at0, at1, blocks, x, sums, scales, false, true);
}

/** Rows in pairs; where one is left, it is taken twice and stored once. */
// @ts-expect-error AssemblyScript's decorator
@inline
function rowsQ4(
  w: usize, rowBytes: usize, rows: usize, blocks: usize, x: usize, sums: usize, scales: usize, minimum: bool, out: usize,
): void {
  for (let r: usize = 0; r < rows; r += 2) {
    const next = r + 1 < rows ? w + rowBytes : w;
    let two = pairQ4(w, next, blocks, x, sums, scales, minimum, false);
    if (v128.any_true(f32x4.ne(two, two))) two = fullQ4(w, next, blocks, x, sums, scales, minimum);
    store<f32>(out, f32x4.extract_lane(two, 0));
    if (r + 1 < rows) store<f32>(out, f32x4.extract_lane(two, 1), 4);
    w += rowBytes << 1;
    out += 8;
  }
}

/** `out[r] = dot(w[r], x)`: `q4_0`. */
export function storedRowsQ4(
  w: usize, rowBytes: usize, rows: usize, blocks: usize, x: usize, sums: usize, scales: usize, out: usize,
): void {
  rowsQ4(w, rowBytes, rows, blocks, x, sums, scales, false, out);
}

/** The same for `q4_1`. */
export function storedRowsQ4M(
  w: usize, rowBytes: usize, rows: usize, blocks: usize, x: usize, sums: usize, scales: usize, out: usize,
): void {
  rowsQ4(w, rowBytes, rows, blocks, x, sums, scales, true, out);
}

/** Two rows of `q8_0` (`d * q`, blocks of 34 bytes), as `pairQ4` has them. */
// @ts-expect-error AssemblyScript's decorator
@inline
function pairQ8(at0: usize, at1: usize, blocks: usize, x: usize, scales: usize, full: bool): v128 {
  let a = f32x4.splat(0);
  let special = a;
  const parts = scales + ((blocks & ~3) << 2);
  const end = scales + (blocks << 2);
  for (; scales < parts; scales += 16) {
    let d0 = i32x4.shl(fourHalves(at0, at0 + 34, at0 + 68, at0 + 102), 16);
    let d1 = i32x4.shl(fourHalves(at1, at1 + 34, at1 + 68, at1 + 102), 16);
    if (!full) special = v128.or(special, v128.or(specialHalves(d0), specialHalves(d1)));
    const scale = v128.load(scales);
    d0 = f32x4.mul(halves(d0, full), scale);
    d1 = f32x4.mul(halves(d1, full), scale);
    for (let block = 0; block < 4; block++) {
      a = madd(firstScales(d0, d1), signed(at0 + 2, at1 + 2, x), a);
      d0 = nextScales(d0);
      d1 = nextScales(d1);
      at0 += 34;
      at1 += 34;
      x += 128;
    }
  }
  if (!full && v128.any_true(special)) return f32x4.splat(NaN);
  for (; scales < end; scales += 4) {
    const d = f32x4.mul(firstScales(oneHalf(at0), oneHalf(at1)), v128.load32_splat(scales));
    a = madd(d, signed(at0 + 2, at1 + 2, x), a);
    at0 += 34;
    at1 += 34;
    x += 128;
  }
  a = f32x4.add(a, v128.shuffle<f32>(a, a, 1, 0, 3, 2));
  return v128.shuffle<f32>(a, a, 0, 2, 0, 2);
}

/** Rows whose scales are not finite, or a vector that is not. */
function fullQ8(at0: usize, at1: usize, blocks: usize, x: usize, scales: usize): v128 {
  return pairQ8(at0, at1, blocks, x, scales, true);
}

/** The same for `q8_0`. */
export function storedRowsQ8(w: usize, rowBytes: usize, rows: usize, blocks: usize, x: usize, scales: usize, out: usize): void {
  for (let r: usize = 0; r < rows; r += 2) {
    const next = r + 1 < rows ? w + rowBytes : w;
    let two = pairQ8(w, next, blocks, x, scales, false);
    if (v128.any_true(f32x4.ne(two, two))) two = fullQ8(w, next, blocks, x, scales);
    store<f32>(out, f32x4.extract_lane(two, 0));
    if (r + 1 < rows) store<f32>(out, f32x4.extract_lane(two, 1), 4);
    w += rowBytes << 1;
    out += 8;
  }
}
