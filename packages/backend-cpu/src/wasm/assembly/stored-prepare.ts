// The vector that stored weights are multiplied with, in the order in which their bits come out.

/** Sums of the 32 neighbours of each block, for formats with a minimum or an offset. */
function blockSums(x: usize, columns: usize, sums: usize): void {
  for (const end = x + (columns << 2); x < end; x += 128) {
    let s = f32x4.add(v128.load(x), v128.load(x, 16));
    s = f32x4.add(s, f32x4.add(v128.load(x, 32), v128.load(x, 48)));
    s = f32x4.add(s, f32x4.add(v128.load(x, 64), v128.load(x, 80)));
    s = f32x4.add(s, f32x4.add(v128.load(x, 96), v128.load(x, 112)));
    store<f32>(sums, f32x4.extract_lane(s, 0) + f32x4.extract_lane(s, 1) + (f32x4.extract_lane(s, 2) + f32x4.extract_lane(s, 3)));
    sums += 4;
  }
}

/** Every 8 numbers as the four at even places and the four at odd ones; `columns` is rounded down to a multiple of 8. */
export function storedPrepareHalves(x: usize, columns: usize, out: usize): void {
  for (const end = x + ((columns & ~7) << 2); x < end; x += 32) {
    const a = v128.load(x);
    const b = v128.load(x, 16);
    v128.store(out, v128.shuffle<f32>(a, b, 0, 2, 4, 6));
    v128.store(out, v128.shuffle<f32>(a, b, 1, 3, 5, 7), 16);
    out += 32;
  }
}

/**
 * Every 16 numbers as four vectors: the first of each four, the second, and so on, as the bytes of four words. With `half` > 0,
 * halves of bytes: runs of `half` numbers belong to low and high halves in turn, and get the power of two that takes back how far
 * left in its word the half byte stands. `sums` takes the sum of each 32.
 */
export function storedPrepareBytes(x: usize, columns: usize, half: usize, out: usize, sums: usize): void {
  blockSums(x, columns, sums);
  for (let at: usize = 0; at < columns; at += 16) {
    const v0 = v128.load(x);
    const v1 = v128.load(x, 16);
    const v2 = v128.load(x, 32);
    const v3 = v128.load(x, 48);
    const ab = v128.shuffle<f32>(v0, v1, 0, 4, 1, 5);
    const cd = v128.shuffle<f32>(v2, v3, 0, 4, 1, 5);
    const ef = v128.shuffle<f32>(v0, v1, 2, 6, 3, 7);
    const gh = v128.shuffle<f32>(v2, v3, 2, 6, 3, 7);
    let f0: f32 = 1, f1: f32 = 1, f2: f32 = 1, f3: f32 = 1;
    if (half > 0) {
      const high = (at / half) & 1;
      f0 = high ? 0.0625 : 1;
      f1 = f0 * 0.00390625;
      f2 = f1 * 0.00390625;
      // The topmost half byte is shifted down instead: as a signed number it would be negative.
      f3 = high ? 1 : f2 * 0.00390625;
    }
    v128.store(out, f32x4.mul(v128.shuffle<f64>(ab, cd, 0, 2), f32x4.splat(f0)));
    v128.store(out, f32x4.mul(v128.shuffle<f64>(ab, cd, 1, 3), f32x4.splat(f1)), 16);
    v128.store(out, f32x4.mul(v128.shuffle<f64>(ef, gh, 0, 2), f32x4.splat(f2)), 32);
    v128.store(out, f32x4.mul(v128.shuffle<f64>(ef, gh, 1, 3), f32x4.splat(f3)), 48);
    x += 64;
    out += 64;
  }
}

/** Eight numbers as whole ones of 16 bits. */
// @ts-expect-error AssemblyScript's decorator
@inline
function whole(x: usize, factor: v128): v128 {
  const low = i32x4.trunc_sat_f32x4_s(f32x4.nearest(f32x4.mul(v128.load(x), factor)));
  const high = i32x4.trunc_sat_f32x4_s(f32x4.nearest(f32x4.mul(v128.load(x, 16), factor)));
  return i16x8.narrow_i32x4_s(low, high);
}

/**
 * The numbers rounded to 16 bits, each 32 on the scale of their largest. With `apart` those at even places of each 16 come before
 * those at odd ones. `scales` takes each scale, NaN where a number is not finite, and `sums` each sum times its scale.
 */
export function storedPrepareI16(x: usize, columns: usize, apart: i32, out: usize, sums: usize, scales: usize): void {
  const ones = i16x8.splat(1);
  for (const end = x + (columns << 2); x < end; x += 128) {
    let top = f32x4.abs(v128.load(x));
    for (let i: usize = 16; i < 128; i += 16) top = f32x4.max(top, f32x4.abs(v128.load(x + i)));
    const largest = max(
      max(f32x4.extract_lane(top, 0), f32x4.extract_lane(top, 1)),
      max(f32x4.extract_lane(top, 2), f32x4.extract_lane(top, 3)),
    );
    // Below 1e-34 the inverse would overflow: such a block counts as 0.
    const empty = largest < <f32>1e-34;
    const factor = f32x4.splat(empty ? 0 : <f32>32767 / largest);
    let scale: f32 = empty ? 0 : largest * <f32>(1.0 / 32767.0);
    if (!(largest < <f32>Infinity)) scale = <f32>NaN;
    let sum = i32x4.splat(0);
    for (let i: usize = 0; i < 2; i++) {
      const a = whole(x + (i << 6), factor);
      const b = whole(x + (i << 6) + 32, factor);
      sum = i32x4.add(sum, i32x4.add(i32x4.dot_i16x8_s(a, ones), i32x4.dot_i16x8_s(b, ones)));
      if (apart) {
        v128.store(out, v128.shuffle<i16>(a, b, 0, 2, 4, 6, 8, 10, 12, 14));
        v128.store(out, v128.shuffle<i16>(a, b, 1, 3, 5, 7, 9, 11, 13, 15), 16);
      } else {
        v128.store(out, a);
        v128.store(out, b, 16);
      }
      out += 32;
    }
    const count = i32x4.extract_lane(sum, 0) + i32x4.extract_lane(sum, 1) + (i32x4.extract_lane(sum, 2) + i32x4.extract_lane(sum, 3));
    store<f32>(scales, scale);
    store<f32>(sums, scale * <f32>count);
    scales += 4;
    sums += 4;
  }
}

/** The whole part of four numbers below 2^15 in size. */
// @ts-expect-error AssemblyScript's decorator
@inline
function upperHalf(y: v128): v128 {
  return i32x4.trunc_sat_f32x4_s(y);
}

/** What their whole part leaves, in units of 2^-15. */
// @ts-expect-error AssemblyScript's decorator
@inline
function lowerHalf(y: v128): v128 {
  return i32x4.trunc_sat_f32x4_s(f32x4.nearest(f32x4.mul(f32x4.sub(y, f32x4.trunc(y)), f32x4.splat(32768))));
}

/**
 * The numbers as whole ones of 31 bits, each 32 on a scale that is a power of two: `x = scale * (upper + lower / 2^15)`, two 16-bit
 * halves. Those above 1/64 of their block's largest are exact; of others at most 2^-30 of the largest is lost, less than f32 sums
 * lose. Each eight are stored as upper halves, then lower ones; with `apart` the eight at even places of each 16 before those at
 * odd ones. `sums` takes each block's sum, `scales` its scale, NaN where a number is not finite.
 */
export function storedPrepareWide(x: usize, columns: usize, apart: i32, out: usize, sums: usize, scales: usize): void {
  blockSums(x, columns, sums);
  for (const end = x + (columns << 2); x < end; ) {
    let top = f32x4.abs(v128.load(x));
    for (let i: usize = 16; i < 128; i += 16) top = f32x4.max(top, f32x4.abs(v128.load(x + i)));
    const largest = max(
      max(f32x4.extract_lane(top, 0), f32x4.extract_lane(top, 1)),
      max(f32x4.extract_lane(top, 2), f32x4.extract_lane(top, 3)),
    );
    // The power of two next below, by its exponent's bits. Blocks below 2^-111 count as 0: what takes the scale back would overflow.
    const power = reinterpret<i32>(largest) & 0x7f800000;
    const empty = power < 16 << 23;
    const factor = f32x4.splat(empty ? 0 : reinterpret<f32>((268 << 23) - power));
    let scale: f32 = empty ? 0 : reinterpret<f32>(power - (14 << 23));
    if (!(largest < <f32>Infinity)) scale = <f32>NaN;
    store<f32>(scales, scale);
    scales += 4;
    for (let i = 0; i < 2; i++) {
      let y0 = f32x4.mul(v128.load(x), factor);
      let y1 = f32x4.mul(v128.load(x, 16), factor);
      let y2 = f32x4.mul(v128.load(x, 32), factor);
      let y3 = f32x4.mul(v128.load(x, 48), factor);
      if (apart) {
        const even0 = v128.shuffle<f32>(y0, y1, 0, 2, 4, 6);
        const even1 = v128.shuffle<f32>(y2, y3, 0, 2, 4, 6);
        const odd0 = v128.shuffle<f32>(y0, y1, 1, 3, 5, 7);
        const odd1 = v128.shuffle<f32>(y2, y3, 1, 3, 5, 7);
        y0 = even0;
        y1 = even1;
        y2 = odd0;
        y3 = odd1;
      }
      v128.store(out, i16x8.narrow_i32x4_s(upperHalf(y0), upperHalf(y1)));
      v128.store(out, i16x8.narrow_i32x4_s(lowerHalf(y0), lowerHalf(y1)), 16);
      v128.store(out, i16x8.narrow_i32x4_s(upperHalf(y2), upperHalf(y3)), 32);
      v128.store(out, i16x8.narrow_i32x4_s(lowerHalf(y2), lowerHalf(y3)), 48);
      x += 64;
      out += 64;
    }
  }
}

/** `out[i] += bias[i]`. */
export function storedAddBias(out: usize, bias: usize, count: usize): void {
  const end = out + ((count & ~3) << 2);
  while (out < end) {
    v128.store(out, f32x4.add(v128.load(out), v128.load(bias)));
    out += 16;
    bias += 16;
  }
  for (let rest = count & 3; rest > 0; rest--) {
    store<f32>(out, load<f32>(out) + load<f32>(bias));
    out += 4;
    bias += 4;
  }
}
