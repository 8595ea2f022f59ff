// Attention: what stands between its matrix products. A block of scores is `rows` queries by `columns` keys, `stride` numbers from
// one row to the next; `position` is the first query's position less the first key's, so that query r sees columns up to
// position + r where attention is causal, and not those at or below position + r - window where there is a window (0 for none).
// `mask` is the address of the first key's byte, 0 for none; `softCap` is 0 for none. Weights are powers of 2: without a cap, scores
// come in times log2(e).

import { axpy, axpy4, dot, dot4, madd, rowMax, storeFirst, sumLanesF64 } from "./lanes";

const LOG2E: f64 = 1.4426950408889634;
const LN2: f64 = 0.6931471805599453;

/**
 * 2^x for x <= 0 (or a rounding above), 0 from -127 down, NaN for NaN; within 3 ulp. Adding 1.5 * 2^23 rounds x and leaves the
 * integer in the low bits; a polynomial, exactly 1 at 0, takes the rest; shifting the integer into the exponent scales it. At -127
 * the rest is not negative, so the exponent does not fall below 0.
 */
// @ts-expect-error AssemblyScript's decorator
@inline
function power2(x: v128): v128 {
  x = f32x4.pmax(x, f32x4.splat(-127)); // keeps a NaN, which is the first operand
  const magic = f32x4.splat(12582912);
  const shifted = f32x4.add(x, magic);
  const r = f32x4.sub(x, f32x4.sub(shifted, magic));
  const square = f32x4.mul(r, r);
  const low = madd(r, f32x4.splat(0.6931469775951133), f32x4.splat(1));
  const middle = madd(r, f32x4.splat(0.05550733744478224), f32x4.splat(0.24022242077091305));
  const high = madd(r, f32x4.splat(0.0013264728768896466), f32x4.splat(0.00967151318311046));
  const p = madd(madd(high, square, middle), square, low);
  return i32x4.add(p, i32x4.shl(shifted, 23));
}

/** tanh as (1 - e^-2|x|) / (1 + e^-2|x|): to 1e-7 of its range, not of its value, which is what capped scores need. */
// @ts-expect-error AssemblyScript's decorator
@inline
function bend(x: v128): v128 {
  const e = power2(f32x4.mul(f32x4.abs(x), f32x4.splat(<f32>(-2 * LOG2E))));
  const one = f32x4.splat(1);
  const size = f32x4.div(f32x4.sub(one, e), f32x4.add(one, e));
  return v128.or(size, v128.and(x, i32x4.splat(0x80000000)));
}

/** First column that query `at` (its position less the first key's) sees, at most `columns`. */
// @ts-expect-error AssemblyScript's decorator
@inline
function firstSeen(at: i32, window: i32, columns: i32): usize {
  return window == 0 ? 0 : <usize>min(max(at + 1 - window, 0), columns);
}

/** The column behind the last that it sees. */
// @ts-expect-error AssemblyScript's decorator
@inline
function endSeen(at: i32, causal: i32, columns: i32): usize {
  return causal == 0 ? <usize>columns : <usize>min(max(at + 1, 0), columns);
}

/** All bits of the lanes whose key may be seen, by four bytes of the mask. */
// @ts-expect-error AssemblyScript's decorator
@inline
function maskLanes(mask: usize): v128 {
  const bytes = i16x8.extend_low_i8x16_u(v128.load32_zero(mask));
  return i32x4.ne(i32x4.extend_low_i16x8_u(bytes), i32x4.splat(0));
}

/** Soft cap, then log2(e), and mask on a row of scores, in place. */
function bendRow(x: usize, count: usize, softCap: f32, mask: usize): void {
  const cap = f32x4.splat(<f32>(<f64>softCap * LOG2E));
  const inverse = f32x4.splat(1 / softCap);
  const hidden = f32x4.splat(-Infinity);
  for (let i: usize = 0; i < count; i += 4) {
    const at = x + (i << 2);
    let s = v128.load(at);
    if (softCap != 0) s = f32x4.mul(cap, bend(f32x4.mul(s, inverse)));
    if (mask != 0) s = v128.bitselect(s, hidden, maskLanes(mask + i));
    if (i + 4 <= count) v128.store(at, s);
    else storeFirst(at, s, count - i);
  }
}

/** x = 2^(x - shift) in place; the sum. */
// @ts-expect-error AssemblyScript's decorator
@inline
function powerRow(x: usize, count: usize, shift: f32): f64 {
  const s = f32x4.splat(shift);
  let total: f64 = 0;
  const pairs = x + ((count & ~7) << 2);
  while (x < pairs) {
    const stop = min(x + 2048, pairs);
    let sum = f32x4.splat(0);
    let other = sum;
    for (; x < stop; x += 32) {
      const a = power2(f32x4.sub(v128.load(x), s));
      const b = power2(f32x4.sub(v128.load(x, 16), s));
      sum = f32x4.add(sum, a);
      other = f32x4.add(other, b);
      v128.store(x, a);
      v128.store(x, b, 16);
    }
    total += sumLanesF64(sum) + sumLanesF64(other);
  }
  count &= 7;
  if (count >= 4) {
    const e = power2(f32x4.sub(v128.load(x), s));
    v128.store(x, e);
    total += sumLanesF64(e);
    x += 16;
    count -= 4;
  }
  for (; count > 0; count--, x += 4) {
    const e = f32x4.extract_lane(power2(f32x4.sub(v128.load32_splat(x), s)), 0);
    store<f32>(x, e);
    total += <f64>e;
  }
  return total;
}

/** Zeros before and behind the columns that a row sees. */
// @ts-expect-error AssemblyScript's decorator
@inline
function clearUnseen(x: usize, first: usize, end: usize, columns: usize): void {
  if (first > 0) memory.fill(x, 0, first << 2);
  if (end < columns) memory.fill(x + (end << 2), 0, (columns - end) << 2);
}

/**
 * Scores become weights 2^(score - peak), 0 where a query does not see a key, in place; each row's peak (f32) and sum of weights
 * (f64) so far are carried on (Milakov and Gimelshein, "Online normalizer calculation for softmax", 2018). In the first block that a
 * row meets (`first`) they begin; in later ones `out`, the row's sum of values so far, is scaled to the new peak.
 */
export function attendBlock(
  x: usize, rows: usize, columns: usize, stride: usize, position: i32, causal: i32, window: i32, softCap: f32, mask: usize,
  peaks: usize, sums: usize, first: i32, out: usize, outStride: usize, dHead: usize,
): void {
  for (let r: usize = 0; r < rows; r++) {
    const at = position + <i32>r;
    const end = endSeen(at, causal, <i32>columns);
    const begin = min(firstSeen(at, window, <i32>columns), end);
    const seen = x + (begin << 2);
    const count = end - begin;
    const before: f32 = first != 0 ? -Infinity : load<f32>(peaks + (r << 2));
    const sum: f64 = first != 0 ? 0 : load<f64>(sums + (r << 3));
    if (count > 0 && (softCap != 0 || mask != 0)) bendRow(seen, count, softCap, mask == 0 ? 0 : mask + begin);
    const peak: f32 = max(before, rowMax(seen, count));
    // Where all is hidden so far, any finite shift makes 2^-infinity = 0.
    const shift: f32 = peak == -Infinity ? 0 : peak;
    let factor: f32 = 1;
    if (first == 0 && before != peak) {
      factor = f32x4.extract_lane(power2(f32x4.splat(before - shift)), 0);
      const v = f32x4.splat(factor);
      let i: usize = 0;
      for (; i + 4 <= dHead; i += 4) v128.store(out + (i << 2), f32x4.mul(v128.load(out + (i << 2)), v));
      for (; i < dHead; i++) store<f32>(out + (i << 2), load<f32>(out + (i << 2)) * factor);
    }
    store<f32>(peaks + (r << 2), peak);
    store<f64>(sums + (r << 3), sum * <f64>factor + powerRow(seen, count, shift));
    clearUnseen(x, begin, end, columns);
    x += stride << 2;
    out += outStride << 2;
  }
}

/** Divides rows of summed values by their sums of weights; rows without weight become 0. Writes the natural logarithm of sum * 2^peak if asked. */
export function attendFinish(out: usize, rows: usize, dHead: usize, outStride: usize, peaks: usize, sums: usize, logSumExp: usize): void {
  for (let r: usize = 0; r < rows; r++) {
    const sum = load<f64>(sums + (r << 3));
    if (sum == 0) memory.fill(out, 0, dHead << 2);
    else {
      const factor = <f32>(1 / sum);
      const v = f32x4.splat(factor);
      let i: usize = 0;
      for (; i + 4 <= dHead; i += 4) v128.store(out + (i << 2), f32x4.mul(v128.load(out + (i << 2)), v));
      for (; i < dHead; i++) store<f32>(out + (i << 2), load<f32>(out + (i << 2)) * factor);
    }
    if (logSumExp != 0) store<f32>(logSumExp + (r << 2), sum == 0 ? -Infinity : <f32>(<f64>load<f32>(peaks + (r << 2)) * LN2 + Math.log(sum)));
    out += outStride << 2;
  }
}

/** Dot products of the rows of two matrices of the same strides: how much of the gradient lies along the output. */
export function rowDots(a: usize, b: usize, rows: usize, columns: usize, stride: usize, out: usize): void {
  for (let r: usize = 0; r < rows; r++) {
    store<f32>(out + (r << 2), dot(a, b, columns));
    a += stride << 2;
    b += stride << 2;
  }
}

/** Four lanes of weights and of gradients to scaled scores, from scores, gradients to weights, and the row's numbers. */
// @ts-expect-error AssemblyScript's decorator
@inline
function gradientLanes(
  x: usize, d: usize, logSum: v128, delta: v128, softCap: f32, cap: v128, inverse: v128, mask: usize, count: usize,
): void {
  let s = v128.load(x);
  let slope = f32x4.splat(1);
  if (softCap != 0) {
    const bent = bend(f32x4.mul(s, inverse));
    slope = f32x4.sub(slope, f32x4.mul(bent, bent));
    s = f32x4.mul(cap, bent);
  }
  let weight = power2(f32x4.sub(s, logSum));
  if (mask != 0) weight = v128.and(weight, maskLanes(mask));
  let gradient = f32x4.mul(weight, f32x4.sub(v128.load(d), delta));
  if (softCap != 0) gradient = f32x4.mul(gradient, slope);
  if (count >= 4) {
    v128.store(x, weight);
    v128.store(d, gradient);
  } else {
    storeFirst(x, weight, count);
    storeFirst(d, gradient, count);
  }
}

/**
 * Scores become weights e^(score - logSumExp), and the gradients to weights at `d`, of the same stride, become gradients to scaled
 * scores, weight * (d - delta), through the cap; both 0 where a query does not see a key. In place.
 */
export function attendBlockGradient(
  x: usize, d: usize, rows: usize, columns: usize, stride: usize, position: i32, causal: i32, window: i32, softCap: f32, mask: usize,
  logSumExp: usize, deltas: usize,
): void {
  const cap = f32x4.splat(<f32>(<f64>softCap * LOG2E));
  const inverse = f32x4.splat(1 / softCap);
  for (let r: usize = 0; r < rows; r++) {
    const at = position + <i32>r;
    const logSum = load<f32>(logSumExp + (r << 2));
    // A row that sees nothing anywhere sees nothing here.
    const end: usize = logSum == -Infinity ? 0 : endSeen(at, causal, <i32>columns);
    const begin = min(firstSeen(at, window, <i32>columns), end);
    const shift = f32x4.splat(<f32>(<f64>logSum * LOG2E));
    const delta = v128.load32_splat(deltas + (r << 2));
    let i = begin;
    if (softCap == 0 && mask == 0) {
      for (; i + 8 <= end; i += 8) {
        const at0 = x + (i << 2);
        const at1 = d + (i << 2);
        const w0 = power2(f32x4.sub(v128.load(at0), shift));
        const w1 = power2(f32x4.sub(v128.load(at0, 16), shift));
        v128.store(at0, w0);
        v128.store(at0, w1, 16);
        v128.store(at1, f32x4.mul(w0, f32x4.sub(v128.load(at1), delta)));
        v128.store(at1, f32x4.mul(w1, f32x4.sub(v128.load(at1, 16), delta)), 16);
      }
    }
    for (; i < end; i += 4) gradientLanes(x + (i << 2), d + (i << 2), shift, delta, softCap, cap, inverse, mask == 0 ? 0 : mask + i, end - i);
    clearUnseen(x, begin, end, columns);
    clearUnseen(d, begin, end, columns);
    x += stride << 2;
    d += stride << 2;
  }
}

/** Zeros into rows of a matrix. */
export function clearRows(out: usize, rows: usize, columns: usize, stride: usize): void {
  for (let r: usize = 0; r < rows; r++) {
    memory.fill(out, 0, columns << 2);
    out += stride << 2;
  }
}

/** `out = sum of parts`, rows of `columns` at a stride; parts are contiguous matrices, one behind the other by `partStride`. */
export function sumParts(parts: usize, count: usize, partStride: usize, rows: usize, columns: usize, out: usize, stride: usize): void {
  const step = partStride << 2;
  for (let r: usize = 0; r < rows; r++) {
    let i: usize = 0;
    for (; i + 4 <= columns; i += 4) {
      let from = parts + (i << 2);
      let sum = v128.load(from);
      for (let p: usize = 1; p < count; p++) {
        from += step;
        sum = f32x4.add(sum, v128.load(from));
      }
      v128.store(out + (i << 2), sum);
    }
    for (; i < columns; i++) {
      let from = parts + (i << 2);
      let sum = load<f32>(from);
      for (let p: usize = 1; p < count; p++) {
        from += step;
        sum += load<f32>(from);
      }
      store<f32>(out + (i << 2), sum);
    }
    parts += columns << 2;
    out += stride << 2;
  }
}

/**
 * One query head over `count` keys, all of which its position sees; `keyStride` is the elements from one key to the next. `scores`
 * has room for `count` + 4 numbers; `logSumExp` may be null.
 */
export function attendOne(
  q: usize, k: usize, v: usize, keyStride: usize, count: usize, dHead: usize, scale: f32, softCap: f32, mask: usize, scores: usize,
  out: usize, logSumExp: usize,
): void {
  const step = keyStride << 2;
  const factor = f32x4.splat(softCap == 0 ? <f32>(<f64>scale * LOG2E) : scale);
  let j: usize = 0;
  for (; j + 4 <= count; j += 4) {
    const key = k + j * step;
    v128.store(scores + (j << 2), f32x4.mul(factor, dot4(key, key + step, key + 2 * step, key + 3 * step, q, dHead)));
  }
  for (; j < count; j++) store<f32>(scores + (j << 2), f32x4.extract_lane(factor, 0) * dot(q, k + j * step, dHead));
  if (softCap != 0 || mask != 0) bendRow(scores, count, softCap, mask);
  const peak = rowMax(scores, count);
  const sum = powerRow(scores, count, peak == -Infinity ? 0 : peak);
  if (logSumExp != 0) store<f32>(logSumExp, sum == 0 ? -Infinity : <f32>(<f64>peak * LN2 + Math.log(sum)));
  memory.fill(out, 0, dHead << 2);
  if (sum == 0) return;
  for (j = 0; j + 4 <= count; j += 4) {
    const value = v + j * step;
    const at = scores + (j << 2);
    axpy4(
      out, dHead, value, value + step, value + 2 * step, value + 3 * step,
      load<f32>(at), load<f32>(at, 4), load<f32>(at, 8), load<f32>(at, 12),
    );
  }
  for (; j < count; j++) axpy(out, dHead, v + j * step, load<f32>(scores + (j << 2)));
  const share = <f32>(1 / sum);
  for (let i: usize = 0; i < dHead; i++) store<f32>(out + (i << 2), load<f32>(out + (i << 2)) * share);
}

/** `visible` where a query sees a key, `hidden` elsewhere: `out [masks, queries, keys]`. The last query stands at the last key. */
export function attentionMask(
  keyMask: usize, masks: usize, queries: usize, keys: usize, causal: i32, window: i32, visible: f32, hidden: f32, out: usize,
): void {
  for (let m: usize = 0; m < masks; m++) {
    for (let r: usize = 0; r < queries; r++) {
      const at = <i32>keys - <i32>queries + <i32>r;
      const end = endSeen(at, causal, <i32>keys);
      const begin = firstSeen(at, window, <i32>keys);
      for (let j: usize = 0; j < keys; j++) {
        const seen = j >= begin && j < end && (keyMask == 0 || load<u8>(keyMask + m * keys + j) != 0);
        store<f32>(out, seen ? visible : hidden);
        out += 4;
      }
    }
  }
}
