// Rows of stored weights times one vector, dequantised in registers: the stored bytes are read once. The vector comes from
// `storedPrepare...`. Rows go one after the other, so that the memory is read in order (bf16 from memory: 12 GB/s, and 5 with four
// rows side by side); only q4_0 and q4_1, whose arithmetic takes longer than their bytes, go four at a time and share the vector. Their
// kernels for f32 activations, and that of q8_0, are in stored-wide.ts.

import { madd, sumLanes, widenF16 } from "./lanes";
import {
  finiteHalves, fourHalves, fourScales, fourSums, fourWords, highFour, highHalves, highHalvesI16, lane0, lane1, lane2, lane3, lowFour, lowHalves,
  lowHalvesI16, oneHalf, q4kScales, q6kBytes, signedBytes, signedBytesI16, specialHalves, storeUpTo,
  twoHalves,
} from "./stored-lanes";

/** Eight bf16 at `at` times the vector's next eight; `even` of a lane are added to `a`, odd ones to `b`. */
// @ts-expect-error AssemblyScript's decorator
@inline
function evenBf16(v: v128, x: usize, a: v128): v128 {
  return madd(i32x4.shl(v, 16), v128.load(x), a);
}
// @ts-expect-error AssemblyScript's decorator
@inline
function oddBf16(v: v128, x: usize, b: v128): v128 {
  return madd(v128.and(v, i32x4.splat(0xffff0000)), v128.load(x, 16), b);
}

/** `out[r] = dot(w[r], x)`: bf16. `x` as it is, `apart` with even and odd places apart. */
export function storedRowsBf16(w: usize, rowBytes: usize, rows: usize, columns: usize, x: usize, apart: usize, out: usize): void {
  const paired = columns & ~7;
  const many = columns & ~31;
  for (let r: usize = 0; r < rows; r++) {
    const start = w + r * rowBytes;
    let at = start;
    let a = f32x4.splat(0);
    let b = a, a1 = a, b1 = a;
    let p = apart;
    for (const end = start + (many << 1); at < end; at += 64) {
      let v = v128.load(at);
      a = evenBf16(v, p, a);
      b = oddBf16(v, p, b);
      v = v128.load(at, 16);
      a1 = evenBf16(v, p + 32, a1);
      b1 = oddBf16(v, p + 32, b1);
      v = v128.load(at, 32);
      a = evenBf16(v, p + 64, a);
      b = oddBf16(v, p + 64, b);
      v = v128.load(at, 48);
      a1 = evenBf16(v, p + 96, a1);
      b1 = oddBf16(v, p + 96, b1);
      p += 128;
    }
    for (const end = start + (paired << 1); at < end; at += 16) {
      const v = v128.load(at);
      a = evenBf16(v, p, a);
      b = oddBf16(v, p, b);
      p += 32;
    }
    let sum = sumLanes(f32x4.add(f32x4.add(a, a1), f32x4.add(b, b1)));
    for (let i = paired; i < columns; i++) {
      sum += reinterpret<f32>((<u32>load<u16>(at)) << 16) * load<f32>(x + (i << 2));
      at += 2;
    }
    store<f32>(out + (r << 2), sum);
  }
}

/** The same for f16. */
export function storedRowsF16(w: usize, rowBytes: usize, rows: usize, columns: usize, x: usize, apart: usize, out: usize): void {
  const paired = columns & ~7;
  const many = columns & ~15;
  for (let r: usize = 0; r < rows; r++) {
    const start = w + r * rowBytes;
    let at = start;
    let a = f32x4.splat(0);
    let b = a, a1 = a, b1 = a, special = a;
    let p = apart;
    for (const end = start + (many << 1); at < end; at += 32) {
      const v = v128.load(at);
      a = madd(finiteHalves(i32x4.shl(v, 16)), v128.load(p), a);
      b = madd(finiteHalves(v), v128.load(p, 16), b);
      const u = v128.load(at, 16);
      a1 = madd(finiteHalves(i32x4.shl(u, 16)), v128.load(p, 32), a1);
      b1 = madd(finiteHalves(u), v128.load(p, 48), b1);
      special = v128.or(special, v128.or(specialHalves(v), specialHalves(u)));
      p += 64;
    }
    if (many < paired) {
      const v = v128.load(at);
      a = madd(finiteHalves(i32x4.shl(v, 16)), v128.load(p), a);
      b = madd(finiteHalves(v), v128.load(p, 16), b);
      special = v128.or(special, specialHalves(v));
      at += 16;
    }
    let sum = sumLanes(f32x4.add(f32x4.add(a, a1), f32x4.add(b, b1)));
    let i = paired;
    if (v128.any_true(special)) {
      // Rare: all of the row again, one by one.
      sum = 0;
      at = start;
      i = 0;
    }
    for (; i < columns; i++) {
      sum += f32x4.extract_lane(widenF16(i32x4.splat(<i32>load<u16>(at))), 0) * load<f32>(x + (i << 2));
      at += 2;
    }
    store<f32>(out + (r << 2), sum);
  }
}

/** Products of the 32 bytes of a block of `q8_0` with 16-bit factors, as f32. */
// @ts-expect-error AssemblyScript's decorator
@inline
function blockQ8I16(at: usize, x: usize): v128 {
  return f32x4.convert_i32x4_s(
    i32x4.add(signedBytesI16(v128.load(at, 2), x), signedBytesI16(v128.load(at, 18), x + 32)),
  );
}

/** `q8_0`, `d * q`, with a vector of 16-bit numbers. */
export function storedRowsQ8I16(w: usize, rowBytes: usize, rows: usize, blocks: usize, x: usize, scales: usize, out: usize): void {
  for (let r: usize = 0; r < rows; r++) {
    let at = w + r * rowBytes;
    let a = f32x4.splat(0);
    let a1 = a;
    let p = x;
    let b: usize = 0;
    for (; b + 4 <= blocks; b += 4) {
      const d = f32x4.mul(fourScales(at, 34), v128.load(scales + (b << 2)));
      a = madd(lane0(d), blockQ8I16(at, p), a);
      a1 = madd(lane1(d), blockQ8I16(at + 34, p + 64), a1);
      a = madd(lane2(d), blockQ8I16(at + 68, p + 128), a);
      a1 = madd(lane3(d), blockQ8I16(at + 102, p + 192), a1);
      at += 136;
      p += 256;
    }
    for (; b < blocks; b++) {
      a = madd(f32x4.mul(oneHalf(at), v128.load32_splat(scales + (b << 2))), blockQ8I16(at, p), a);
      at += 34;
      p += 64;
    }
    store<f32>(out + (r << 2), sumLanes(f32x4.add(a, a1)));
  }
}

/**
 * `q4_0` (`d * (q - 8)`, blocks of 18 bytes) and `q4_1` (`d * q + m`, of 20) with a vector of 16-bit numbers, four rows side by side;
 * where fewer are left, the last one is read again and its result not stored. What is added to each block's products does not
 * depend on q, so it meets the sum of the block's part of the vector.
 */
export function storedRowsQ4I16(
  w: usize, rowBytes: usize, rows: usize, blocks: usize, x: usize, sums: usize, scales: usize, minimum: i32, out: usize,
): void {
  const header: usize = minimum ? 4 : 2;
  for (let r: usize = 0; r < rows; r += 4) {
    const left = rows - r;
    let w0 = w + r * rowBytes;
    const d1 = left > 1 ? rowBytes : 0;
    const d2 = left > 2 ? rowBytes << 1 : d1;
    const d3 = left > 3 ? rowBytes * 3 : d2;
    let a0 = f32x4.splat(0);
    let a1 = a0, a2 = a0, a3 = a0, rest = a0;
    let p = x;
    for (let b: usize = 0; b < blocks; b++) {
      let d: v128;
      let m: v128;
      if (minimum) {
        const both = fourWords(w0, w0 + d1, w0 + d2, w0 + d3);
        d = widenF16(v128.and(both, i32x4.splat(0xffff)));
        m = widenF16(i32x4.shr_u(both, 16));
      } else {
        d = widenF16(v128.and(fourHalves(w0, w0 + d1, w0 + d2, w0 + d3), i32x4.splat(0xffff)));
        m = f32x4.mul(d, f32x4.splat(-8));
      }
      rest = madd(m, v128.load32_splat(sums + (b << 2)), rest);
      d = f32x4.mul(d, v128.load32_splat(scales + (b << 2)));
      const w1 = w0 + header;
      let v = v128.load(w1);
      a0 = madd(lane0(d), f32x4.convert_i32x4_s(i32x4.add(lowHalvesI16(v, p), highHalvesI16(v, p + 32))), a0);
      v = v128.load(w1 + d1);
      a1 = madd(lane1(d), f32x4.convert_i32x4_s(i32x4.add(lowHalvesI16(v, p), highHalvesI16(v, p + 32))), a1);
      v = v128.load(w1 + d2);
      a2 = madd(lane2(d), f32x4.convert_i32x4_s(i32x4.add(lowHalvesI16(v, p), highHalvesI16(v, p + 32))), a2);
      v = v128.load(w1 + d3);
      a3 = madd(lane3(d), f32x4.convert_i32x4_s(i32x4.add(lowHalvesI16(v, p), highHalvesI16(v, p + 32))), a3);
      w0 += header + 16;
      p += 64;
    }
    storeUpTo(out + (r << 2), f32x4.add(fourSums(a0, a1, a2, a3), rest), left);
  }
}

/** `q4_k`: `d * s * q - dmin * t`. */
export function storedRowsQ4K(w: usize, rowBytes: usize, rows: usize, blocks: usize, x: usize, sums: usize, out: usize): void {
  for (let r: usize = 0; r < rows; r++) {
    let at = w + r * rowBytes;
    let p = x;
    let q = sums;
    let a = f32x4.splat(0);
    let a1 = a;
    for (let b: usize = 0; b < blocks; b++) {
      const halves = twoHalves(at);
      const packed = q4kScales(at + 4);
      const s = i16x8.extend_low_i8x16_u(packed);
      const t = i16x8.extend_high_i8x16_u(packed);
      const minima = madd(highFour(t), v128.load(q, 16), f32x4.mul(lowFour(t), v128.load(q)));
      a1 = f32x4.sub(a1, f32x4.mul(lane1(halves), minima));
      const d = lane0(halves);
      let scale = f32x4.mul(lowFour(s), d);
      let v = v128.load(at, 16);
      let u = v128.load(at, 32);
      a = madd(lane0(scale), f32x4.add(lowHalves(v, p), lowHalves(u, p + 64)), a);
      a1 = madd(lane1(scale), f32x4.add(highHalves(v, p + 128), highHalves(u, p + 192)), a1);
      v = v128.load(at, 48);
      u = v128.load(at, 64);
      a = madd(lane2(scale), f32x4.add(lowHalves(v, p + 256), lowHalves(u, p + 320)), a);
      a1 = madd(lane3(scale), f32x4.add(highHalves(v, p + 384), highHalves(u, p + 448)), a1);
      scale = f32x4.mul(highFour(s), d);
      v = v128.load(at, 80);
      u = v128.load(at, 96);
      a = madd(lane0(scale), f32x4.add(lowHalves(v, p + 512), lowHalves(u, p + 576)), a);
      a1 = madd(lane1(scale), f32x4.add(highHalves(v, p + 640), highHalves(u, p + 704)), a1);
      v = v128.load(at, 112);
      u = v128.load(at, 128);
      a = madd(lane2(scale), f32x4.add(lowHalves(v, p + 768), lowHalves(u, p + 832)), a);
      a1 = madd(lane3(scale), f32x4.add(highHalves(v, p + 896), highHalves(u, p + 960)), a1);
      at += 144;
      p += 1024;
      q += 32;
    }
    store<f32>(out + (r << 2), sumLanes(f32x4.add(a, a1)));
  }
}

/** The same with a vector of 16-bit numbers. */
export function storedRowsQ4KI16(
  w: usize, rowBytes: usize, rows: usize, blocks: usize, x: usize, sums: usize, scales: usize, out: usize,
): void {
  for (let r: usize = 0; r < rows; r++) {
    let at = w + r * rowBytes;
    let p = x;
    let q = sums;
    let c = scales;
    let a = f32x4.splat(0);
    let a1 = a;
    for (let b: usize = 0; b < blocks; b++) {
      const halves = twoHalves(at);
      const packed = q4kScales(at + 4);
      const s = i16x8.extend_low_i8x16_u(packed);
      const t = i16x8.extend_high_i8x16_u(packed);
      const minima = madd(highFour(t), v128.load(q, 16), f32x4.mul(lowFour(t), v128.load(q)));
      a1 = f32x4.sub(a1, f32x4.mul(lane1(halves), minima));
      const d = lane0(halves);
      for (let half: usize = 0; half < 2; half++) {
        const scale = f32x4.mul(f32x4.mul(half ? highFour(s) : lowFour(s), d), v128.load(c));
        let v = v128.load(at, 16);
        let u = v128.load(at, 32);
        a = madd(lane0(scale), f32x4.convert_i32x4_s(i32x4.add(lowHalvesI16(v, p), lowHalvesI16(u, p + 32))), a);
        a1 = madd(lane1(scale), f32x4.convert_i32x4_s(i32x4.add(highHalvesI16(v, p + 64), highHalvesI16(u, p + 96))), a1);
        v = v128.load(at, 48);
        u = v128.load(at, 64);
        a = madd(lane2(scale), f32x4.convert_i32x4_s(i32x4.add(lowHalvesI16(v, p + 128), lowHalvesI16(u, p + 160))), a);
        a1 = madd(lane3(scale), f32x4.convert_i32x4_s(i32x4.add(highHalvesI16(v, p + 192), highHalvesI16(u, p + 224))), a1);
        at += 64;
        p += 256;
        c += 16;
      }
      at += 16;
      q += 32;
    }
    store<f32>(out + (r << 2), sumLanes(f32x4.add(a, a1)));
  }
}

/** `q6_k`: `d * s * (q - 32)`. */
export function storedRowsQ6K(w: usize, rowBytes: usize, rows: usize, blocks: usize, x: usize, out: usize): void {
  for (let r: usize = 0; r < rows; r++) {
    let at = w + r * rowBytes;
    let p = x;
    let total = f32x4.splat(0);
    for (let b: usize = 0; b < blocks; b++) {
      const d = f32x4.mul(oneHalf(at + 208), f32x4.splat(5.9604644775390625e-8));
      let a = f32x4.splat(0);
      let a1 = a;
      for (let half: usize = 0; half < 2; half++) {
        const ql = at + (half << 6);
        const s = i16x8.extend_low_i8x16_s(v128.load64_zero(at + 192 + (half << 3)));
        // The scales of elements 0 to 63, and of 64 to 127: first and second half of each 32 in turn.
        const s0 = f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(s));
        const s1 = f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(s));
        let high = v128.load(at + 128 + (half << 5));
        let first = v128.load(ql);
        let second = v128.load(ql, 32);
        a = madd(lane0(s0), signedBytes(q6kBytes(first, high), p), a);
        a1 = madd(lane2(s0), signedBytes(q6kBytes(second, i32x4.shr_u(high, 2)), p + 128), a1);
        a = madd(lane0(s1), signedBytes(q6kBytes(i32x4.shr_u(first, 4), i32x4.shr_u(high, 4)), p + 256), a);
        a1 = madd(lane2(s1), signedBytes(q6kBytes(i32x4.shr_u(second, 4), i32x4.shr_u(high, 6)), p + 384), a1);
        high = v128.load(at + 144 + (half << 5));
        first = v128.load(ql, 16);
        second = v128.load(ql, 48);
        a = madd(lane1(s0), signedBytes(q6kBytes(first, high), p + 64), a);
        a1 = madd(lane3(s0), signedBytes(q6kBytes(second, i32x4.shr_u(high, 2)), p + 192), a1);
        a = madd(lane1(s1), signedBytes(q6kBytes(i32x4.shr_u(first, 4), i32x4.shr_u(high, 4)), p + 320), a);
        a1 = madd(lane3(s1), signedBytes(q6kBytes(i32x4.shr_u(second, 4), i32x4.shr_u(high, 6)), p + 448), a1);
        p += 512;
      }
      total = madd(d, f32x4.add(a, a1), total);
      at += 210;
    }
    store<f32>(out + (r << 2), sumLanes(total));
  }
}

/** Products of 16 whole numbers as f32. */
// @ts-expect-error AssemblyScript's decorator
@inline
function bytesI16(v: v128, x: usize): v128 {
  return f32x4.convert_i32x4_s(signedBytesI16(v, x));
}

/** The same with a vector of 16-bit numbers. */
export function storedRowsQ6KI16(w: usize, rowBytes: usize, rows: usize, blocks: usize, x: usize, scales: usize, out: usize): void {
  for (let r: usize = 0; r < rows; r++) {
    let at = w + r * rowBytes;
    let p = x;
    let c = scales;
    let total = f32x4.splat(0);
    for (let b: usize = 0; b < blocks; b++) {
      let a = f32x4.splat(0);
      let a1 = a;
      for (let half: usize = 0; half < 2; half++) {
        const ql = at + (half << 6);
        const s = i16x8.extend_low_i8x16_s(v128.load64_zero(at + 192 + (half << 3)));
        // Each of the vector's scales goes for two of the block's.
        const own = v128.load(c);
        const s0 = f32x4.mul(f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(s)), v128.shuffle<f32>(own, own, 0, 0, 1, 1));
        const s1 = f32x4.mul(f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(s)), v128.shuffle<f32>(own, own, 2, 2, 3, 3));
        let high = v128.load(at + 128 + (half << 5));
        let first = v128.load(ql);
        let second = v128.load(ql, 32);
        a = madd(lane0(s0), bytesI16(q6kBytes(first, high), p), a);
        a1 = madd(lane2(s0), bytesI16(q6kBytes(second, i32x4.shr_u(high, 2)), p + 64), a1);
        a = madd(lane0(s1), bytesI16(q6kBytes(i32x4.shr_u(first, 4), i32x4.shr_u(high, 4)), p + 128), a);
        a1 = madd(lane2(s1), bytesI16(q6kBytes(i32x4.shr_u(second, 4), i32x4.shr_u(high, 6)), p + 192), a1);
        high = v128.load(at + 144 + (half << 5));
        first = v128.load(ql, 16);
        second = v128.load(ql, 48);
        a = madd(lane1(s0), bytesI16(q6kBytes(first, high), p + 32), a);
        a1 = madd(lane3(s0), bytesI16(q6kBytes(second, i32x4.shr_u(high, 2)), p + 96), a1);
        a = madd(lane1(s1), bytesI16(q6kBytes(i32x4.shr_u(first, 4), i32x4.shr_u(high, 4)), p + 160), a);
        a1 = madd(lane3(s1), bytesI16(q6kBytes(i32x4.shr_u(second, 4), i32x4.shr_u(high, 6)), p + 224), a1);
        p += 256;
        c += 16;
      }
      total = madd(oneHalf(at + 208), f32x4.add(a, a1), total);
      at += 210;
    }
    store<f32>(out + (r << 2), sumLanes(total));
  }
}
