// Constraints on the norms of rows, such as those of an SAE's decoder.

import { madd, storeFirst, sumLanes } from "./lanes";

/** Row dot product in f64 over groups of lanes; x and y may be the same. */
// @ts-expect-error AssemblyScript's decorator
@inline
function dotF64(x: usize, y: usize, count: usize): f64 {
  let s0 = f32x4.splat(0);
  let s1 = s0;
  let s2 = s0;
  let s3 = s0;
  const end = x + (count << 2);
  while (x + 64 <= end) {
    s0 = madd(v128.load(x), v128.load(y), s0);
    s1 = madd(v128.load(x, 16), v128.load(y, 16), s1);
    s2 = madd(v128.load(x, 32), v128.load(y, 32), s2);
    s3 = madd(v128.load(x, 48), v128.load(y, 48), s3);
    x += 64;
    y += 64;
  }
  let total = <f64>sumLanes(f32x4.add(f32x4.add(s0, s1), f32x4.add(s2, s3)));
  while (x < end) {
    total += <f64>load<f32>(x) * <f64>load<f32>(y);
    x += 4;
    y += 4;
  }
  return total;
}

/** Divides each row by its L2 norm; rows of norm 0 stay. */
export function normalizeRows(x: usize, rows: usize, columns: usize): void {
  for (let r: usize = 0; r < rows; r++) {
    const norm = Math.sqrt(dotF64(x, x, columns));
    if (norm > 0) {
      const factor = f32x4.splat(<f32>(1 / norm));
      let i: usize = 0;
      for (; i + 4 <= columns; i += 4) v128.store(x + (i << 2), f32x4.mul(v128.load(x + (i << 2)), factor));
      if (i < columns) storeFirst(x + (i << 2), f32x4.mul(v128.load(x + (i << 2)), factor), columns - i);
    }
    x += columns << 2;
  }
}

/** `gradient[r] -= (gradient[r] . u) u` with u the unit vector along `weight[r]`; rows of norm 0 stay. */
export function removeParallelRows(gradient: usize, weight: usize, rows: usize, columns: usize): void {
  for (let r: usize = 0; r < rows; r++) {
    const square = dotF64(weight, weight, columns);
    if (square != 0) {
      const factor = f32x4.splat(<f32>(-dotF64(gradient, weight, columns) / square));
      let i: usize = 0;
      for (; i + 4 <= columns; i += 4) {
        v128.store(gradient + (i << 2), madd(factor, v128.load(weight + (i << 2)), v128.load(gradient + (i << 2))));
      }
      if (i < columns) {
        storeFirst(gradient + (i << 2), madd(factor, v128.load(weight + (i << 2)), v128.load(gradient + (i << 2))), columns - i);
      }
    }
    gradient += columns << 2;
    weight += columns << 2;
  }
}

/** Scales rows whose L2 norm is above `maximum` down to it. */
export function clipRowNorms(x: usize, rows: usize, columns: usize, maximum: f64): void {
  for (let r: usize = 0; r < rows; r++) {
    const norm = Math.sqrt(dotF64(x, x, columns));
    if (norm > maximum) {
      const factor = f32x4.splat(<f32>(maximum / norm));
      let i: usize = 0;
      for (; i + 4 <= columns; i += 4) v128.store(x + (i << 2), f32x4.mul(v128.load(x + (i << 2)), factor));
      if (i < columns) storeFirst(x + (i << 2), f32x4.mul(v128.load(x + (i << 2)), factor), columns - i);
    }
    x += columns << 2;
  }
}
