// Helpers on four f32 lanes that every family uses. Pointers are byte addresses in the one memory.

/** a * b + c; fused where the module is built with relaxed SIMD. */
// @ts-expect-error AssemblyScript's decorator
@inline
export function madd(a: v128, b: v128, c: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return f32x4.relaxed_madd(a, b, c);
  return f32x4.add(f32x4.mul(a, b), c);
}

/** Sum of the four lanes, pairwise. */
// @ts-expect-error AssemblyScript's decorator
@inline
export function sumLanes(v: v128): f32 {
  return f32x4.extract_lane(v, 0) + f32x4.extract_lane(v, 2) + (f32x4.extract_lane(v, 1) + f32x4.extract_lane(v, 3));
}

/** Sum of the four lanes in f64. */
// @ts-expect-error AssemblyScript's decorator
@inline
export function sumLanesF64(v: v128): f64 {
  return (
    <f64>f32x4.extract_lane(v, 0) +
    <f64>f32x4.extract_lane(v, 1) +
    (<f64>f32x4.extract_lane(v, 2) + <f64>f32x4.extract_lane(v, 3))
  );
}

/** Largest lane; NaN if any lane is NaN. */
// @ts-expect-error AssemblyScript's decorator
@inline
export function maxLanes(v: v128): f32 {
  return max(
    max(f32x4.extract_lane(v, 0), f32x4.extract_lane(v, 1)),
    max(f32x4.extract_lane(v, 2), f32x4.extract_lane(v, 3)),
  );
}

/** Largest of `count` numbers; NaN if any is NaN. */
export function rowMax(x: usize, count: usize): f32 {
  const end = x + (count << 2);
  let best = f32x4.splat(-Infinity);
  let other = best;
  while (x + 32 <= end) {
    best = f32x4.max(best, v128.load(x));
    other = f32x4.max(other, v128.load(x, 16));
    x += 32;
  }
  let value = maxLanes(f32x4.max(best, other));
  while (x < end) {
    value = max(value, load<f32>(x));
    x += 4;
  }
  return value;
}

/** Stores the first `count` lanes (1 to 3). */
// @ts-expect-error AssemblyScript's decorator
@inline
export function storeFirst(out: usize, v: v128, count: usize): void {
  v128.store_lane<f32>(out, v, 0);
  if (count > 1) v128.store_lane<f32>(out + 4, v, 1);
  if (count > 2) v128.store_lane<f32>(out + 8, v, 2);
}

/** Sum of x[i] * y[i], four chains of four lanes. */
// @ts-expect-error AssemblyScript's decorator
@inline
export function dot(x: usize, y: usize, count: usize): f32 {
  let s0 = f32x4.splat(0);
  let s1 = s0;
  let s2 = s0;
  let s3 = s0;
  const end = x + (count << 2);
  const blocks = x + ((count & ~15) << 2);
  while (x < blocks) {
    s0 = madd(v128.load(x), v128.load(y), s0);
    s1 = madd(v128.load(x, 16), v128.load(y, 16), s1);
    s2 = madd(v128.load(x, 32), v128.load(y, 32), s2);
    s3 = madd(v128.load(x, 48), v128.load(y, 48), s3);
    x += 64;
    y += 64;
  }
  while (x + 16 <= end) {
    s0 = madd(v128.load(x), v128.load(y), s0);
    x += 16;
    y += 16;
  }
  let total = sumLanes(f32x4.add(f32x4.add(s0, s1), f32x4.add(s2, s3)));
  while (x < end) {
    total += load<f32>(x) * load<f32>(y);
    x += 4;
    y += 4;
  }
  return total;
}

/** out[i] += c0 * x0[i]. */
// @ts-expect-error AssemblyScript's decorator
@inline
export function axpy(out: usize, count: usize, x0: usize, c0: f32): void {
  const end = out + (count << 2);
  const v0 = f32x4.splat(c0);
  while (out + 16 <= end) {
    v128.store(out, madd(v0, v128.load(x0), v128.load(out)));
    out += 16;
    x0 += 16;
  }
  while (out < end) {
    store<f32>(out, load<f32>(out) + c0 * load<f32>(x0));
    out += 4;
    x0 += 4;
  }
}

/** out[i] += c0 * x0[i] + c1 * x1[i] + c2 * x2[i] + c3 * x3[i], in that order. */
// @ts-expect-error AssemblyScript's decorator
@inline
export function axpy4(
  out: usize, count: usize,
  x0: usize, x1: usize, x2: usize, x3: usize,
  c0: f32, c1: f32, c2: f32, c3: f32,
): void {
  const end = out + (count << 2);
  const v0 = f32x4.splat(c0);
  const v1 = f32x4.splat(c1);
  const v2 = f32x4.splat(c2);
  const v3 = f32x4.splat(c3);
  // The other rows are addressed relative to the first: one counter instead of five.
  const d1 = x1 - x0;
  const d2 = x2 - x0;
  const d3 = x3 - x0;
  while (out + 16 <= end) {
    let s = madd(v0, v128.load(x0), v128.load(out));
    s = madd(v1, v128.load(x0 + d1), s);
    s = madd(v2, v128.load(x0 + d2), s);
    s = madd(v3, v128.load(x0 + d3), s);
    v128.store(out, s);
    out += 16;
    x0 += 16;
  }
  while (out < end) {
    let s = load<f32>(out) + c0 * load<f32>(x0);
    s += c1 * load<f32>(x0 + d1);
    s += c2 * load<f32>(x0 + d2);
    s += c3 * load<f32>(x0 + d3);
    store<f32>(out, s);
    out += 4;
    x0 += 4;
  }
}

/** Four dot products with one vector, side by side. */
// @ts-expect-error AssemblyScript's decorator
@inline
export function dot4(w0: usize, w1: usize, w2: usize, w3: usize, x: usize, count: usize): v128 {
  let a0 = f32x4.splat(0);
  let a1 = a0, a2 = a0, a3 = a0;
  const d0 = w0 - x;
  const d1 = w1 - x;
  const d2 = w2 - x;
  const d3 = w3 - x;
  const end = x + (count << 2);
  for (; x + 16 <= end; x += 16) {
    const v = v128.load(x);
    a0 = madd(v, v128.load(x + d0), a0);
    a1 = madd(v, v128.load(x + d1), a1);
    a2 = madd(v, v128.load(x + d2), a2);
    a3 = madd(v, v128.load(x + d3), a3);
  }
  // Sums of the lanes by a transposition.
  const t0 = f32x4.add(v128.shuffle<f32>(a0, a1, 0, 4, 1, 5), v128.shuffle<f32>(a0, a1, 2, 6, 3, 7));
  const t1 = f32x4.add(v128.shuffle<f32>(a2, a3, 0, 4, 1, 5), v128.shuffle<f32>(a2, a3, 2, 6, 3, 7));
  let sums = f32x4.add(v128.shuffle<f64>(t0, t1, 0, 2), v128.shuffle<f64>(t0, t1, 1, 3));
  for (; x < end; x += 4) {
    let rest = v128.load32_splat(x + d0);
    rest = v128.load_lane<u32>(x + d1, rest, 1);
    rest = v128.load_lane<u32>(x + d2, rest, 2);
    rest = v128.load_lane<u32>(x + d3, rest, 3);
    sums = madd(v128.load32_splat(x), rest, sums);
  }
  return sums;
}

/** f16, each in the low half of a 32-bit lane, to f32. */
// @ts-expect-error AssemblyScript's decorator
@inline
export function widenF16(halves: v128): v128 {
  // Shifted into an f32 the exponent is 112 too small; the product mends normal and subnormal numbers alike, exactly.
  const magnitude = i32x4.shl(v128.and(halves, i32x4.splat(0x7fff)), 13);
  const sign = i32x4.shl(v128.and(halves, i32x4.splat(0x8000)), 16);
  const special = i32x4.ge_s(magnitude, i32x4.splat(0x0f800000));
  const scaled = f32x4.mul(magnitude, f32x4.splat(5.192296858534828e33));
  const infinite = v128.or(magnitude, i32x4.splat(0x7f800000));
  return v128.or(v128.bitselect(infinite, scaled, special), sign);
}
