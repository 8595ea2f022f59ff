// Stored weights as f32, exactly as the formats define them: `rows` runs of `blocks` blocks, `rowBytes` apart, one after the other
// into `out`.

import { widenF16 } from "./lanes";
import { highFour, lane0, lane1, lane2, lane3, lowFour, oneHalf, q4kScales, q6kBytes, twoHalves } from "./stored-lanes";

/** 16 unsigned bytes times `d` plus `m`. */
// @ts-expect-error AssemblyScript's decorator
@inline
function putUnsigned(out: usize, v: v128, d: v128, m: v128): void {
  const low = i16x8.extend_low_i8x16_u(v);
  const high = i16x8.extend_high_i8x16_u(v);
  v128.store(out, f32x4.add(f32x4.mul(f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_u(low)), d), m));
  v128.store(out, f32x4.add(f32x4.mul(f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_u(low)), d), m), 16);
  v128.store(out, f32x4.add(f32x4.mul(f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_u(high)), d), m), 32);
  v128.store(out, f32x4.add(f32x4.mul(f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_u(high)), d), m), 48);
}

/** 16 signed bytes times `d`. */
// @ts-expect-error AssemblyScript's decorator
@inline
function putSigned(out: usize, v: v128, d: v128): void {
  const low = i16x8.extend_low_i8x16_s(v);
  const high = i16x8.extend_high_i8x16_s(v);
  v128.store(out, f32x4.mul(f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(low)), d));
  v128.store(out, f32x4.mul(f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(low)), d), 16);
  v128.store(out, f32x4.mul(f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(high)), d), 32);
  v128.store(out, f32x4.mul(f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(high)), d), 48);
}

export function storedDecodeF32(w: usize, rowBytes: usize, rows: usize, blocks: usize, out: usize): void {
  for (let r: usize = 0; r < rows; r++) {
    memory.copy(out, w, blocks << 2);
    w += rowBytes;
    out += blocks << 2;
  }
}

export function storedDecodeF16(w: usize, rowBytes: usize, rows: usize, blocks: usize, out: usize): void {
  for (let r: usize = 0; r < rows; r++) {
    let at = w + r * rowBytes;
    for (const end = out + ((blocks & ~3) << 2); out < end; out += 16) {
      v128.store(out, widenF16(v128.load_ext<u16>(at)));
      at += 8;
    }
    for (let rest = blocks & 3; rest > 0; rest--) {
      v128.store_lane<f32>(out, widenF16(i32x4.splat(<i32>load<u16>(at))), 0);
      at += 2;
      out += 4;
    }
  }
}

export function storedDecodeBf16(w: usize, rowBytes: usize, rows: usize, blocks: usize, out: usize): void {
  for (let r: usize = 0; r < rows; r++) {
    let at = w + r * rowBytes;
    for (const end = out + ((blocks & ~3) << 2); out < end; out += 16) {
      v128.store(out, i32x4.shl(v128.load_ext<u16>(at), 16));
      at += 8;
    }
    for (let rest = blocks & 3; rest > 0; rest--) {
      store<u32>(out, (<u32>load<u16>(at)) << 16);
      at += 2;
      out += 4;
    }
  }
}

export function storedDecodeQ8(w: usize, rowBytes: usize, rows: usize, blocks: usize, out: usize): void {
  for (let r: usize = 0; r < rows; r++) {
    let at = w + r * rowBytes;
    for (let b: usize = 0; b < blocks; b++) {
      const d = oneHalf(at);
      putSigned(out, v128.load(at, 2), d);
      putSigned(out + 64, v128.load(at, 18), d);
      at += 34;
      out += 128;
    }
  }
}

export function storedDecodeQ4(w: usize, rowBytes: usize, rows: usize, blocks: usize, out: usize): void {
  const mask = i8x16.splat(15);
  const eight = i8x16.splat(8);
  for (let r: usize = 0; r < rows; r++) {
    let at = w + r * rowBytes;
    for (let b: usize = 0; b < blocks; b++) {
      const d = oneHalf(at);
      const v = v128.load(at, 2);
      putSigned(out, i8x16.sub(v128.and(v, mask), eight), d);
      putSigned(out + 64, i8x16.sub(i8x16.shr_u(v, 4), eight), d);
      at += 18;
      out += 128;
    }
  }
}

/** `q4_1`. */
export function storedDecodeQ4M(w: usize, rowBytes: usize, rows: usize, blocks: usize, out: usize): void {
  const mask = i8x16.splat(15);
  for (let r: usize = 0; r < rows; r++) {
    let at = w + r * rowBytes;
    for (let b: usize = 0; b < blocks; b++) {
      const both = twoHalves(at);
      const d = lane0(both);
      const m = lane1(both);
      const v = v128.load(at, 4);
      putUnsigned(out, v128.and(v, mask), d, m);
      putUnsigned(out + 64, i8x16.shr_u(v, 4), d, m);
      at += 20;
      out += 128;
    }
  }
}

/** 32 bytes of `q4_k`: the sub-block in the low halves, then the one in the high halves. */
// @ts-expect-error AssemblyScript's decorator
@inline
function putQ4K(out: usize, at: usize, d0: v128, m0: v128, d1: v128, m1: v128): void {
  const mask = i8x16.splat(15);
  const v = v128.load(at);
  const u = v128.load(at, 16);
  putUnsigned(out, v128.and(v, mask), d0, m0);
  putUnsigned(out + 64, v128.and(u, mask), d0, m0);
  putUnsigned(out + 128, i8x16.shr_u(v, 4), d1, m1);
  putUnsigned(out + 192, i8x16.shr_u(u, 4), d1, m1);
}

export function storedDecodeQ4K(w: usize, rowBytes: usize, rows: usize, blocks: usize, out: usize): void {
  for (let r: usize = 0; r < rows; r++) {
    let at = w + r * rowBytes;
    for (let b: usize = 0; b < blocks; b++) {
      const halves = twoHalves(at);
      const d = lane0(halves);
      const m = f32x4.neg(lane1(halves));
      const packed = q4kScales(at + 4);
      const s = i16x8.extend_low_i8x16_u(packed);
      const t = i16x8.extend_high_i8x16_u(packed);
      let scale = f32x4.mul(lowFour(s), d);
      let least = f32x4.mul(lowFour(t), m);
      putQ4K(out, at + 16, lane0(scale), lane0(least), lane1(scale), lane1(least));
      putQ4K(out + 256, at + 48, lane2(scale), lane2(least), lane3(scale), lane3(least));
      scale = f32x4.mul(highFour(s), d);
      least = f32x4.mul(highFour(t), m);
      putQ4K(out + 512, at + 80, lane0(scale), lane0(least), lane1(scale), lane1(least));
      putQ4K(out + 768, at + 112, lane2(scale), lane2(least), lane3(scale), lane3(least));
      at += 144;
      out += 1024;
    }
  }
}

export function storedDecodeQ6K(w: usize, rowBytes: usize, rows: usize, blocks: usize, out: usize): void {
  for (let r: usize = 0; r < rows; r++) {
    let at = w + r * rowBytes;
    for (let b: usize = 0; b < blocks; b++) {
      const d = oneHalf(at + 208);
      for (let half: usize = 0; half < 2; half++) {
        const ql = at + (half << 6);
        const s = i16x8.extend_low_i8x16_s(v128.load64_zero(at + 192 + (half << 3)));
        const s0 = f32x4.mul(d, f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(s)));
        const s1 = f32x4.mul(d, f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(s)));
        let high = v128.load(at + 128 + (half << 5));
        let first = v128.load(ql);
        let second = v128.load(ql, 32);
        putSigned(out, q6kBytes(first, high), lane0(s0));
        putSigned(out + 128, q6kBytes(second, i32x4.shr_u(high, 2)), lane2(s0));
        putSigned(out + 256, q6kBytes(i32x4.shr_u(first, 4), i32x4.shr_u(high, 4)), lane0(s1));
        putSigned(out + 384, q6kBytes(i32x4.shr_u(second, 4), i32x4.shr_u(high, 6)), lane2(s1));
        high = v128.load(at + 144 + (half << 5));
        first = v128.load(ql, 16);
        second = v128.load(ql, 48);
        putSigned(out + 64, q6kBytes(first, high), lane1(s0));
        putSigned(out + 192, q6kBytes(second, i32x4.shr_u(high, 2)), lane3(s0));
        putSigned(out + 320, q6kBytes(i32x4.shr_u(first, 4), i32x4.shr_u(high, 4)), lane1(s1));
        putSigned(out + 448, q6kBytes(i32x4.shr_u(second, 4), i32x4.shr_u(high, 6)), lane3(s1));
        out += 512;
      }
      at += 210;
    }
  }
}
