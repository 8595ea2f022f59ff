// Philox4x32-10 (Salmon et al., 2011), four blocks in the lanes of a vector, and what is made of its words. A chunk's words go
// through a buffer of `RUN` words and two blocks more, so that a chunk may begin in the middle of a block.

import { madd, rowMax } from "./lanes";
import { exp4 } from "./functions";
import { sortKeyed } from "./sort";

/** Words that are drawn at a time, a multiple of 16. */
const RUN: usize = 1024;

/** Bytes of the buffer of words. */
export function randomScratchBytes(): usize {
  return (RUN + 32) << 2;
}

/** Lower and upper halves of the four products with a constant. */
// @ts-expect-error AssemblyScript's decorator
@inline
function low4(a: v128, b: v128): v128 {
  return v128.shuffle<i32>(a, b, 0, 2, 4, 6);
}

// @ts-expect-error AssemblyScript's decorator
@inline
function high4(a: v128, b: v128): v128 {
  return v128.shuffle<i32>(a, b, 1, 3, 5, 7);
}

/** Words of `blocks` blocks (rounded up to a multiple of 4) from block (high, low) on, in order. */
function drawBlocks(seed: u32, stream: u32, low: u32, high: u32, blocks: usize, out: usize): void {
  const m0 = i32x4.splat(0xd2511f53);
  const m1 = i32x4.splat(0xcd9e8d57);
  let block: u64 = (<u64>high << 32) | <u64>low;
  for (let b: usize = 0; b < blocks; b += 4) {
    let c0 = i32x4.add(i32x4.splat(<i32>block), i32x4(0, 1, 2, 3));
    // The upper word is one more in lanes where the lower one wrapped around.
    let c1 = i32x4.sub(i32x4.splat(<i32>(block >> 32)), i32x4.lt_u(c0, i32x4.splat(<i32>block)));
    let c2 = i32x4.splat(0);
    let c3 = c2;
    let k0 = i32x4.splat(seed);
    let k1 = i32x4.splat(stream);
    for (let round = 0; round < 10; round++) {
      const a = i64x2.extmul_low_i32x4_u(c0, m0);
      const c = i64x2.extmul_high_i32x4_u(c0, m0);
      const d = i64x2.extmul_low_i32x4_u(c2, m1);
      const e = i64x2.extmul_high_i32x4_u(c2, m1);
      c0 = v128.xor(v128.xor(high4(d, e), c1), k0);
      c2 = v128.xor(v128.xor(high4(a, c), c3), k1);
      c1 = low4(d, e);
      c3 = low4(a, c);
      k0 = i32x4.add(k0, i32x4.splat(0x9e3779b9));
      k1 = i32x4.add(k1, i32x4.splat(0xbb67ae85));
    }
    const ab = v128.shuffle<i32>(c0, c1, 0, 4, 1, 5);
    const cd = v128.shuffle<i32>(c2, c3, 0, 4, 1, 5);
    const ef = v128.shuffle<i32>(c0, c1, 2, 6, 3, 7);
    const gh = v128.shuffle<i32>(c2, c3, 2, 6, 3, 7);
    v128.store(out, v128.shuffle<i64>(ab, cd, 0, 2));
    v128.store(out, v128.shuffle<i64>(ab, cd, 1, 3), 16);
    v128.store(out, v128.shuffle<i64>(ef, gh, 0, 2), 32);
    v128.store(out, v128.shuffle<i64>(ef, gh, 1, 3), 48);
    out += 64;
    block += 4;
  }
}

/** Draws `count` (at most `RUN`) words from word `skip` (below 4) of a block on; returns where the first one lies. */
// @ts-expect-error AssemblyScript's decorator
@inline
function drawRun(seed: u32, stream: u32, block: u64, skip: usize, count: usize, scratch: usize): usize {
  drawBlocks(seed, stream, <u32>block, <u32>(block >> 32), (skip + count + 3) >> 2, scratch);
  return scratch + (skip << 2);
}

// @ts-expect-error AssemblyScript's decorator
@inline
function blockOf(low: u32, high: u32): u64 {
  return (<u64>high << 32) | <u64>low;
}

/** Uniform in [0, 1): the upper 24 bits. */
// @ts-expect-error AssemblyScript's decorator
@inline
function uniform4(words: v128): v128 {
  return f32x4.mul(f32x4.convert_i32x4_s(i32x4.shr_u(words, 8)), f32x4.splat(5.9604644775390625e-8));
}

// The functions below make `count` numbers from word `skip` of block (high, low) on.

export function randomBits(
  seed: u32, stream: u32, low: u32, high: u32, skip: usize, count: usize, out: usize, scratch: usize,
): void {
  let block = blockOf(low, high);
  for (let done: usize = 0; done < count; done += RUN) {
    const run = min(RUN, count - done);
    const words = drawRun(seed, stream, block, skip, run, scratch);
    memory.copy(out + (done << 2), words, run << 2);
    block += RUN >> 2;
  }
}

export function randomUniform(
  seed: u32, stream: u32, low: u32, high: u32, skip: usize, count: usize, start: f32, span: f32, out: usize, scratch: usize,
): void {
  let block = blockOf(low, high);
  const a = f32x4.splat(start);
  const b = f32x4.splat(span);
  for (let done: usize = 0; done < count; done += RUN) {
    const run = min(RUN, count - done);
    let words = drawRun(seed, stream, block, skip, run, scratch);
    let i: usize = 0;
    // Not fused: each step is rounded, on every device.
    for (; i + 4 <= run; i += 4) {
      v128.store(out, f32x4.add(a, f32x4.mul(b, uniform4(v128.load(words)))));
      words += 16;
      out += 16;
    }
    for (; i < run; i++) {
      v128.store_lane<f32>(out, f32x4.add(a, f32x4.mul(b, uniform4(v128.load32_splat(words)))), 0);
      words += 4;
      out += 4;
    }
    block += RUN >> 2;
  }
}

/** ln x for x in [2^-24, 1], after Cephes' logf. */
// @ts-expect-error AssemblyScript's decorator
@inline
function logUnit4(x: v128): v128 {
  let exponent = i32x4.sub(i32x4.shr_u(x, 23), i32x4.splat(126));
  let m = v128.or(v128.and(x, i32x4.splat(0x007fffff)), i32x4.splat(0x3f000000));
  const below = f32x4.lt(m, f32x4.splat(0.707106781186547524));
  exponent = i32x4.add(exponent, below); // a true lane is -1
  m = f32x4.sub(f32x4.add(m, v128.and(m, below)), f32x4.splat(1));
  const e = f32x4.convert_i32x4_s(exponent);
  const z = f32x4.mul(m, m);
  // By Estrin's scheme: the loop waits for results rather than for units.
  const z2 = f32x4.mul(z, z);
  const p01 = madd(m, f32x4.splat(-2.4999993993e-1), f32x4.splat(3.3333331174e-1));
  const p23 = madd(m, f32x4.splat(-1.6668057665e-1), f32x4.splat(2.0000714765e-1));
  const p45 = madd(m, f32x4.splat(-1.2420140846e-1), f32x4.splat(1.4249322787e-1));
  const p67 = madd(m, f32x4.splat(-1.1514610310e-1), f32x4.splat(1.1676998740e-1));
  const low = madd(p23, z, p01);
  const high = madd(madd(f32x4.splat(7.0376836292e-2), z, p67), z, p45);
  let p = madd(high, z2, low);
  p = f32x4.mul(f32x4.mul(p, m), z);
  p = madd(e, f32x4.splat(-2.12194440e-4), p);
  p = f32x4.sub(p, f32x4.mul(z, f32x4.splat(0.5)));
  return madd(e, f32x4.splat(0.693359375), f32x4.add(m, p));
}

/**
 * cos(2 pi t / 2^24) of whole t from 0 to 2^24 - 1: the quarter turn is found exactly, the rest, within 45 degrees, goes into
 * Cephes' polynomials for sine and cosine.
 */
// @ts-expect-error AssemblyScript's decorator
@inline
function cosTurn4(t: v128): v128 {
  const quarter = i32x4.shr_u(i32x4.add(t, i32x4.splat(1 << 21)), 22);
  const x = f32x4.mul(f32x4.convert_i32x4_s(i32x4.sub(t, i32x4.shl(quarter, 22))), f32x4.splat(3.7450702829238413e-7));
  const z = f32x4.mul(x, x);
  let s = madd(z, f32x4.splat(-1.9515295891e-4), f32x4.splat(8.3321608736e-3));
  s = madd(s, z, f32x4.splat(-1.6666654611e-1));
  s = madd(f32x4.mul(s, z), x, x);
  let c = madd(z, f32x4.splat(2.443315711809948e-5), f32x4.splat(-1.388731625493765e-3));
  c = madd(c, z, f32x4.splat(4.166664568298827e-2));
  c = madd(f32x4.mul(c, z), z, madd(z, f32x4.splat(-0.5), f32x4.splat(1)));
  const odd = i32x4.ne(v128.and(quarter, i32x4.splat(1)), i32x4.splat(0));
  // cos, -sin, -cos, sin: negative in the quarters 1 and 2.
  const sign = i32x4.shl(v128.and(i32x4.add(quarter, i32x4.splat(1)), i32x4.splat(2)), 30);
  return v128.xor(v128.bitselect(s, c, odd), sign);
}

/** Box-Muller from words (u, v): sqrt(-2 ln(1 - u)) cos(2 pi v). */
// @ts-expect-error AssemblyScript's decorator
@inline
function normal4(u: v128, v: v128): v128 {
  const remaining = f32x4.sub(f32x4.splat(1), uniform4(u));
  const radius = f32x4.sqrt(f32x4.mul(f32x4.splat(-2), logUnit4(remaining)));
  return f32x4.mul(radius, cosTurn4(i32x4.shr_u(v, 8)));
}

export function randomNormal(
  seed: u32, stream: u32, low: u32, high: u32, skip: usize, count: usize, mean: f32, deviation: f32, out: usize, scratch: usize,
): void {
  let block = blockOf(low, high);
  const a = f32x4.splat(mean);
  const b = f32x4.splat(deviation);
  const numbers = RUN >> 1;
  for (let done: usize = 0; done < count; done += numbers) {
    const run = min(numbers, count - done);
    let words = drawRun(seed, stream, block, skip, run << 1, scratch);
    let i: usize = 0;
    for (; i + 4 <= run; i += 4) {
      const x = v128.load(words);
      const y = v128.load(words, 16);
      v128.store(out, madd(b, normal4(low4(x, y), high4(x, y)), a));
      words += 32;
      out += 16;
    }
    for (; i < run; i++) {
      const z = normal4(v128.load32_splat(words), v128.load32_splat(words, 4));
      v128.store_lane<f32>(out, madd(b, z, a), 0);
      words += 8;
      out += 4;
    }
    block += RUN >> 2;
  }
}

/** `out[i] = x[i] * factor` where the upper 24 bits are at least `limit`, else 0. */
export function dropout(
  seed: u32, stream: u32, low: u32, high: u32, skip: usize, count: usize, x: usize, limit: i32, factor: f32, out: usize, scratch: usize,
): void {
  let block = blockOf(low, high);
  const least = i32x4.splat(limit);
  const f = f32x4.splat(factor);
  for (let done: usize = 0; done < count; done += RUN) {
    const run = min(RUN, count - done);
    let words = drawRun(seed, stream, block, skip, run, scratch);
    let i: usize = 0;
    for (; i + 4 <= run; i += 4) {
      const kept = i32x4.ge_s(i32x4.shr_u(v128.load(words), 8), least);
      v128.store(out, v128.and(f32x4.mul(v128.load(x), f), kept));
      words += 16;
      x += 16;
      out += 16;
    }
    for (; i < run; i++) {
      store<f32>(out, <i32>(load<u32>(words) >> 8) >= limit ? load<f32>(x) * factor : 0);
      words += 4;
      x += 4;
      out += 4;
    }
    block += RUN >> 2;
  }
}

/** `out[i] = 1` where the uniform is below `probabilities[i]`, else 0. */
export function bernoulli(
  seed: u32, stream: u32, low: u32, high: u32, skip: usize, count: usize, probabilities: usize, out: usize, scratch: usize,
): void {
  let block = blockOf(low, high);
  for (let done: usize = 0; done < count; done += RUN) {
    const run = min(RUN, count - done);
    let words = drawRun(seed, stream, block, skip, run, scratch);
    for (let i: usize = 0; i < run; i++) {
      const u = <f32>(load<u32>(words) >> 8) * <f32>5.9604644775390625e-8;
      store<f32>(out, u < load<f32>(probabilities) ? 1 : 0);
      words += 4;
      probabilities += 4;
      out += 4;
    }
    block += RUN >> 2;
  }
}

/**
 * 0 .. count - 1 in ascending order of pairs of words, which lie at `words`; `keys` holds the keys and what sorting them needs.
 */
export function permutationOf(words: usize, count: usize, keys: usize, out: usize): void {
  for (let i: usize = 0; i < count; i++) {
    store<u64>(keys + (i << 3), (<u64>load<u32>(words + (i << 3)) << 32) | <u64>i);
  }
  const sorted = sortKeyed(keys, count, keys + (count << 3));
  // Equal first words lie beside one another in ascending order of their place; the second words decide.
  for (let i: usize = 1; i < count; i++) {
    const key = load<u64>(sorted + (i << 3));
    const second = load<u32>(words + (<usize>(<u32>key) << 3) + 4);
    let to = i;
    while (to > 0) {
      const other = load<u64>(sorted + ((to - 1) << 3));
      if (other >> 32 != key >> 32 || load<u32>(words + (<usize>(<u32>other) << 3) + 4) <= second) break;
      store<u64>(sorted + (to << 3), other);
      to--;
    }
    store<u64>(sorted + (to << 3), key);
  }
  for (let i: usize = 0; i < count; i++) store<u32>(out + (i << 2), load<u32>(sorted + (i << 3)));
}

/**
 * One column a row by the inverse of the distribution softmax(logits); `words` holds two words a row, `powers` one number a
 * column. A row without a finite distribution gives -1.
 */
export function categoricalRows(logits: usize, words: usize, rows: usize, columns: usize, out: usize, powers: usize): void {
  const bytes = columns << 2;
  for (let r: usize = 0; r < rows; r++) {
    const peak = rowMax(logits, columns);
    let pick = -1;
    if (peak > -Infinity && peak < Infinity) {
      const offset = f32x4.splat(peak);
      let at: usize = 0;
      for (; at + 16 <= bytes; at += 16) v128.store(powers + at, exp4(f32x4.sub(v128.load(logits + at), offset)));
      for (; at < bytes; at += 4) {
        v128.store_lane<f32>(powers + at, exp4(f32x4.sub(v128.load32_splat(logits + at), offset)), 0);
      }
      let even = f64x2.splat(0);
      let odd = even;
      for (at = 0; at + 16 <= bytes; at += 16) {
        const v = v128.load(powers + at);
        even = f64x2.add(even, f64x2.promote_low_f32x4(v));
        odd = f64x2.add(odd, f64x2.promote_low_f32x4(v128.shuffle<f32>(v, v, 2, 3, 2, 3)));
      }
      even = f64x2.add(even, odd);
      let total = f64x2.extract_lane(even, 0) + f64x2.extract_lane(even, 1);
      for (; at < bytes; at += 4) total += <f64>load<f32>(powers + at);
      const word = (<u64>load<u32>(words) << 21) | <u64>(load<u32>(words, 4) >> 11);
      const goal = total * (<f64>word * 1.1102230246251565e-16);
      let sum: f64 = 0;
      // Should rounding leave the sum at the goal, the last column with a probability is it.
      for (let c: usize = 0; c < columns && sum <= goal; c++) {
        const power = load<f32>(powers + (c << 2));
        sum += <f64>power;
        if (power > 0) pick = <i32>c;
      }
    }
    store<i32>(out + (r << 2), pick);
    logits += bytes;
    words += 8;
  }
}
