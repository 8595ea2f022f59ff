// f16 and bf16 to f32 and back; rounding to nearest with ties to even.

// @ts-expect-error AssemblyScript's decorator
@inline
function widenF16(halves: v128): v128 {
  // Shifted into an f32 the exponent is 112 too small; the product mends normal and subnormal numbers alike, exactly.
  const magnitude = i32x4.shl(v128.and(halves, i32x4.splat(0x7fff)), 13);
  const sign = i32x4.shl(v128.and(halves, i32x4.splat(0x8000)), 16);
  const special = i32x4.ge_s(magnitude, i32x4.splat(0x0f800000));
  const scaled = f32x4.mul(magnitude, f32x4.splat(5.192296858534828e33));
  const infinite = v128.or(magnitude, i32x4.splat(0x7f800000));
  return v128.or(v128.bitselect(infinite, scaled, special), sign);
}

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
