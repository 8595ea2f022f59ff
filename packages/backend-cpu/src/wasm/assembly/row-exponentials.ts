// What softmax and the losses on it share: exponentials of numbers up to 0, and a row's maximum and sum of exponentials.

import { madd, sumLanesF64 } from "./lanes";

/**
 * e^x for x up to 88, as `exp4` computes it, but 0 below -87.7 where that underflows gradually: 2^n is made in one step, with the
 * exponent's bias inside the rounding constant. NaN stays NaN.
 */
// @ts-expect-error AssemblyScript's decorator
@inline
export function expFlushed4(x: v128): v128 {
  // At -88 the biased exponent is 0, which makes 2^n the number 0. pmax keeps a NaN in its first operand.
  x = f32x4.pmax(x, f32x4.splat(-88));
  const magic = f32x4.splat(12583039); // 1.5 * 2^23 + 127
  const shifted = f32x4.add(f32x4.mul(x, f32x4.splat(1.44269504088896341)), magic);
  const n = f32x4.sub(shifted, magic);
  let r = f32x4.sub(x, f32x4.mul(n, f32x4.splat(0.693359375)));
  r = f32x4.sub(r, f32x4.mul(n, f32x4.splat(-2.12194440e-4)));
  const square = f32x4.mul(r, r);
  const high = madd(r, f32x4.splat(1.9875691500e-4), f32x4.splat(1.3981999507e-3));
  const middle = madd(r, f32x4.splat(8.3334519073e-3), f32x4.splat(4.1665795894e-2));
  const low = madd(r, f32x4.splat(1.6666665459e-1), f32x4.splat(5.0000001201e-1));
  const p = madd(madd(high, square, middle), square, low);
  const value = f32x4.add(madd(p, square, r), f32x4.splat(1));
  return f32x4.mul(value, i32x4.shl(shifted, 23));
}

/** The first `count` lanes of `v`, zero in the others. */
// @ts-expect-error AssemblyScript's decorator
@inline
export function firstLanes(v: v128, count: usize): v128 {
  return v128.and(v, i32x4.lt_s(i32x4(0, 1, 2, 3), i32x4.splat(<i32>count)));
}

/** Largest of `count` numbers; a NaN counts as -infinity. */
// @ts-expect-error AssemblyScript's decorator
@inline
export function peakOf(x: usize, count: usize): f32 {
  const end = x + (count << 2);
  const blocks = x + ((count & ~15) << 2);
  // pmax keeps its first operand against a NaN, and is one instruction.
  let p0 = f32x4.splat(-Infinity);
  let p1 = p0;
  let p2 = p0;
  let p3 = p0;
  for (; x < blocks; x += 64) {
    p0 = f32x4.pmax(p0, v128.load(x));
    p1 = f32x4.pmax(p1, v128.load(x, 16));
    p2 = f32x4.pmax(p2, v128.load(x, 32));
    p3 = f32x4.pmax(p3, v128.load(x, 48));
  }
  p0 = f32x4.max(f32x4.max(p0, p1), f32x4.max(p2, p3));
  let peak = max(
    max(f32x4.extract_lane(p0, 0), f32x4.extract_lane(p0, 1)),
    max(f32x4.extract_lane(p0, 2), f32x4.extract_lane(p0, 3)),
  );
  for (; x < end; x += 4) {
    const value = load<f32>(x);
    if (value > peak) peak = value;
  }
  return peak;
}

/** Sum of e^(x - shift), 512 terms a lane in f32, those in f64; the terms are stored at `out` if `keep`. `out` may be `x`. */
// @ts-expect-error AssemblyScript's decorator
@inline
export function expSum(x: usize, shift: f32, count: usize, out: usize, keep: bool): f64 {
  const s = f32x4.splat(shift);
  const bytes = count << 2;
  const vectors = bytes & ~31;
  let total: f64 = 0;
  let at: usize = 0;
  while (at < vectors) {
    const stop = min(at + 4096, vectors);
    let s0 = f32x4.splat(0);
    let s1 = s0;
    for (; at < stop; at += 32) {
      const e0 = expFlushed4(f32x4.sub(v128.load(x + at), s));
      const e1 = expFlushed4(f32x4.sub(v128.load(x + at, 16), s));
      if (keep) {
        v128.store(out + at, e0);
        v128.store(out + at, e1, 16);
      }
      s0 = f32x4.add(s0, e0);
      s1 = f32x4.add(s1, e1);
    }
    total += sumLanesF64(f32x4.add(s0, s1));
  }
  for (; at < bytes; at += 16) {
    const left = min((bytes - at) >> 2, 4);
    const e = firstLanes(expFlushed4(f32x4.sub(v128.load(x + at), s)), left);
    total += sumLanesF64(e);
    if (!keep) continue;
    if (left == 4) v128.store(out + at, e);
    else {
      v128.store_lane<f32>(out + at, e, 0);
      if (left > 1) v128.store_lane<f32>(out + at + 4, e, 1);
      if (left > 2) v128.store_lane<f32>(out + at + 8, e, 2);
    }
  }
  return total;
}

/** The second result of {@link peakAndTotal}. */
export let rowTotal: f64 = 0;

/**
 * A row's largest element, and in {@link rowTotal} the sum of e^(x - largest), reading each block of the row from memory once: the
 * sum so far is scaled down when a block brings a larger element.
 */
export function peakAndTotal(x: usize, count: usize): f32 {
  let peak: f32 = -Infinity;
  let total: f64 = 0;
  while (count > 0) {
    const block = min(count, 4096);
    const found = peakOf(x, block);
    if (found > peak) {
      total *= Math.exp(<f64>peak - <f64>found);
      peak = found;
    }
    // Against -infinity alone nothing is to be subtracted: the terms are 0, or NaN for a NaN.
    total += expSum(x, peak == -Infinity ? 0 : peak, block, 0, false);
    x += block << 2;
    count -= block;
  }
  rowTotal = total;
  return peak;
}
