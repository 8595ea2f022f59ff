// Sine and cosine on four f32 lanes.

import { madd } from "../lanes";

/** Beyond it the reduction below loses digits, and each lane is computed by itself. */
// @ts-expect-error AssemblyScript's decorator
@inline
const LARGEST: f32 = 8192;

/** x - n pi/2 with pi/2 in three parts (Cephes). */
// @ts-expect-error AssemblyScript's decorator
@inline
function reduced(x: v128, n: v128): v128 {
  let r = f32x4.sub(x, f32x4.mul(n, f32x4.splat(1.5703125)));
  r = f32x4.sub(r, f32x4.mul(n, f32x4.splat(4.837512969970703125e-4)));
  return f32x4.sub(r, f32x4.mul(n, f32x4.splat(7.54978995489188216e-8)));
}

/** sin(x + quarter * pi/2). */
// @ts-expect-error AssemblyScript's decorator
@inline
function sinFrom(x: v128, quarter: i32): v128 {
  const n = f32x4.nearest(f32x4.mul(x, f32x4.splat(0.63661977236758134)));
  const quadrant = i32x4.add(i32x4.trunc_sat_f32x4_s(n), i32x4.splat(quarter));
  const r = reduced(x, n);
  const z = f32x4.mul(r, r);
  let s = madd(z, f32x4.splat(-1.9515295891e-4), f32x4.splat(8.3321608736e-3));
  s = madd(s, z, f32x4.splat(-1.6666654611e-1));
  const sine = madd(f32x4.mul(s, z), r, r);
  let c = madd(z, f32x4.splat(2.443315711809948e-5), f32x4.splat(-1.388731625493765e-3));
  c = madd(c, z, f32x4.splat(4.166664568298827e-2));
  c = madd(c, z, f32x4.splat(-0.5));
  const cosine = madd(c, z, f32x4.splat(1));
  const odd = i32x4.ne(v128.and(quadrant, i32x4.splat(1)), i32x4.splat(0));
  const value = v128.bitselect(cosine, sine, odd);
  return v128.xor(value, i32x4.shl(v128.and(quadrant, i32x4.splat(2)), 30));
}

// @ts-expect-error AssemblyScript's decorator
@inline
function isSmall(x: v128): bool {
  return i32x4.all_true(f32x4.le(f32x4.abs(x), f32x4.splat(LARGEST)));
}

// @ts-expect-error AssemblyScript's decorator
@inline
export function sin4(x: v128): v128 {
  return isSmall(x) ? sinFrom(x, 0) : sinLanes(x);
}

// @ts-expect-error AssemblyScript's decorator
@inline
export function cos4(x: v128): v128 {
  return isSmall(x) ? sinFrom(x, 1) : cosLanes(x);
}

function sinLanes(x: v128): v128 {
  let out = f32x4.splat(<f32>NativeMath.sin(f32x4.extract_lane(x, 0)));
  out = f32x4.replace_lane(out, 1, <f32>NativeMath.sin(f32x4.extract_lane(x, 1)));
  out = f32x4.replace_lane(out, 2, <f32>NativeMath.sin(f32x4.extract_lane(x, 2)));
  return f32x4.replace_lane(out, 3, <f32>NativeMath.sin(f32x4.extract_lane(x, 3)));
}

function cosLanes(x: v128): v128 {
  let out = f32x4.splat(<f32>NativeMath.cos(f32x4.extract_lane(x, 0)));
  out = f32x4.replace_lane(out, 1, <f32>NativeMath.cos(f32x4.extract_lane(x, 1)));
  out = f32x4.replace_lane(out, 2, <f32>NativeMath.cos(f32x4.extract_lane(x, 2)));
  return f32x4.replace_lane(out, 3, <f32>NativeMath.cos(f32x4.extract_lane(x, 3)));
}
