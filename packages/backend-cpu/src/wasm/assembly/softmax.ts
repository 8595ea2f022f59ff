// Softmax and its relatives, row by row. The maximum is subtracted first; sums run in f32 for 64 elements a lane, then in f64.

import { exp4 } from "./functions";
import { rowMax, storeFirst, sumLanesF64 } from "./lanes";

/** The first `count` lanes of `v`, zero in the others. */
// @ts-expect-error AssemblyScript's decorator
@inline
function firstLanes(v: v128, count: usize): v128 {
  return v128.and(v, i32x4.lt_s(i32x4(0, 1, 2, 3), i32x4.splat(<i32>count)));
}

/** Sum of e^(x - shift); the terms are stored at `out` if `keep`. */
// @ts-expect-error AssemblyScript's decorator
@inline
function expSum(x: usize, shift: f32, count: usize, out: usize, keep: bool): f64 {
  const s = f32x4.splat(shift);
  const vectors = x + ((count & ~3) << 2);
  let total: f64 = 0;
  while (x < vectors) {
    const stop = min(x + 1024, vectors);
    let sum = f32x4.splat(0);
    while (x < stop) {
      const e = exp4(f32x4.sub(v128.load(x), s));
      sum = f32x4.add(sum, e);
      if (keep) {
        v128.store(out, e);
        out += 16;
      }
      x += 16;
    }
    total += sumLanesF64(sum);
  }
  const rest = count & 3;
  if (rest) {
    const e = firstLanes(exp4(f32x4.sub(v128.load(x), s)), rest);
    total += sumLanesF64(e);
    if (keep) storeFirst(out, e, rest);
  }
  return total;
}

// @ts-expect-error AssemblyScript's decorator
@inline
function softmax(x: usize, count: usize, out: usize): void {
  const sum = expSum(x, rowMax(x, count), count, out, true);
  const factor = f32x4.splat(<f32>(1 / sum));
  let i: usize = 0;
  for (; i + 4 <= count; i += 4) v128.store(out + (i << 2), f32x4.mul(v128.load(out + (i << 2)), factor));
  if (i < count) storeFirst(out + (i << 2), f32x4.mul(v128.load(out + (i << 2)), factor), count - i);
}

export function softmaxRows(x: usize, rows: usize, columns: usize, out: usize): void {
  for (let r: usize = 0; r < rows; r++) softmax(x + ((r * columns) << 2), columns, out + ((r * columns) << 2));
}

export function logSoftmaxRows(x: usize, rows: usize, columns: usize, out: usize): void {
  for (let r: usize = 0; r < rows; r++) {
    const peak = rowMax(x, columns);
    const shift = f32x4.splat(peak);
    const log = f32x4.splat(<f32>Math.log(expSum(x, peak, columns, out, false)));
    let i: usize = 0;
    for (; i + 4 <= columns; i += 4) v128.store(out + (i << 2), f32x4.sub(f32x4.sub(v128.load(x + (i << 2)), shift), log));
    if (i < columns) storeFirst(out + (i << 2), f32x4.sub(f32x4.sub(v128.load(x + (i << 2)), shift), log), columns - i);
    x += columns << 2;
    out += columns << 2;
  }
}

/** `logsumexp(x[r]) - x[r][target]`; 0 for a negative target. */
export function crossEntropyRows(x: usize, targets: usize, rows: usize, columns: usize, out: usize): void {
  for (let r: usize = 0; r < rows; r++) {
    const target = load<i32>(targets + (r << 2));
    let loss: f64 = 0;
    if (target >= 0) {
      const peak = rowMax(x, columns);
      loss = Math.log(expSum(x, peak, columns, out, false)) + (<f64>peak - <f64>load<f32>(x + (<usize>target << 2)));
    }
    store<f32>(out + (r << 2), <f32>loss);
    x += columns << 2;
  }
}

/**
 * Softmax of rows of a score matrix whose row r sees its first `seen + r` columns; the others, up to `columns`, become 0, so
 * that a plain matrix product with the values can follow. In place.
 */
export function softmaxCausal(x: usize, rows: usize, columns: usize, stride: usize, seen: usize): void {
  for (let r: usize = 0; r < rows; r++) {
    const visible = min(seen + r, columns);
    softmax(x, visible, x);
    memory.fill(x + (visible << 2), 0, (columns - visible) << 2);
    x += stride << 2;
  }
}
