// Softmax and its relatives, row by row.

import { madd, storeFirst, sumLanesF64 } from "./lanes";
import { expFlushed4, expSum, peakAndTotal, peakOf, rowTotal } from "./row-exponentials";

/** Softmax with the maximum subtracted. `out` may be `x`. */
// @ts-expect-error AssemblyScript's decorator
@inline
function softmax(x: usize, count: usize, out: usize): void {
  const scale = <f32>(1 / expSum(x, peakOf(x, count), count, out, true));
  const factor = f32x4.splat(scale);
  const bytes = count << 2;
  const vectors = bytes & ~31;
  let at: usize = 0;
  for (; at < vectors; at += 32) {
    v128.store(out + at, f32x4.mul(v128.load(out + at), factor));
    v128.store(out + at, f32x4.mul(v128.load(out + at, 16), factor), 16);
  }
  for (; at < bytes; at += 4) store<f32>(out + at, load<f32>(out + at) * scale);
}

export function softmaxRows(x: usize, rows: usize, columns: usize, out: usize): void {
  for (let r: usize = 0; r < rows; r++) softmax(x + ((r * columns) << 2), columns, out + ((r * columns) << 2));
}

/** `dX = y (gradient - sum(gradient y))`; `dX` may be `gradient`. */
export function softmaxGradientRows(y: usize, gradient: usize, rows: usize, columns: usize, dX: usize): void {
  const bytes = columns << 2;
  const vectors = bytes & ~15;
  for (let r: usize = 0; r < rows; r++) {
    let total: f64 = 0;
    let at: usize = 0;
    while (at < vectors) {
      const stop = min(at + 4096, vectors);
      let sum = f32x4.splat(0);
      let other = sum;
      for (; at + 32 <= stop; at += 32) {
        sum = madd(v128.load(y + at), v128.load(gradient + at), sum);
        other = madd(v128.load(y + at, 16), v128.load(gradient + at, 16), other);
      }
      for (; at < stop; at += 16) sum = madd(v128.load(y + at), v128.load(gradient + at), sum);
      total += sumLanesF64(f32x4.add(sum, other));
    }
    for (; at < bytes; at += 4) total += <f64>load<f32>(y + at) * <f64>load<f32>(gradient + at);
    const mean = f32x4.splat(<f32>total);
    at = 0;
    for (; at < vectors; at += 16) v128.store(dX + at, f32x4.mul(v128.load(y + at), f32x4.sub(v128.load(gradient + at), mean)));
    for (; at < bytes; at += 4) store<f32>(dX + at, load<f32>(y + at) * (load<f32>(gradient + at) - <f32>total));
    y += bytes;
    gradient += bytes;
    dX += bytes;
  }
}

export function logSoftmaxRows(x: usize, rows: usize, columns: usize, out: usize): void {
  const bytes = columns << 2;
  const vectors = bytes & ~15;
  for (let r: usize = 0; r < rows; r++) {
    const shift = f32x4.splat(peakAndTotal(x, columns));
    const log = f32x4.splat(<f32>Math.log(rowTotal));
    let at: usize = 0;
    for (; at < vectors; at += 16) v128.store(out + at, f32x4.sub(f32x4.sub(v128.load(x + at), shift), log));
    if (at < bytes) storeFirst(out + at, f32x4.sub(f32x4.sub(v128.load(x + at), shift), log), (bytes - at) >> 2);
    x += bytes;
    out += bytes;
  }
}

/** `dX = gradient - e^y sum(gradient)`; `dX` may be `gradient`. */
export function logSoftmaxGradientRows(y: usize, gradient: usize, rows: usize, columns: usize, dX: usize): void {
  const bytes = columns << 2;
  const vectors = bytes & ~15;
  for (let r: usize = 0; r < rows; r++) {
    let total: f64 = 0;
    let at: usize = 0;
    while (at < vectors) {
      const stop = min(at + 4096, vectors);
      let sum = f32x4.splat(0);
      for (; at < stop; at += 16) sum = f32x4.add(sum, v128.load(gradient + at));
      total += sumLanesF64(sum);
    }
    for (; at < bytes; at += 4) total += <f64>load<f32>(gradient + at);
    const sum = f32x4.splat(<f32>total);
    at = 0;
    for (; at < vectors; at += 16) v128.store(dX + at, f32x4.sub(v128.load(gradient + at), f32x4.mul(expFlushed4(v128.load(y + at)), sum)));
    if (at < bytes) storeFirst(dX + at, f32x4.sub(v128.load(gradient + at), f32x4.mul(expFlushed4(v128.load(y + at)), sum)), (bytes - at) >> 2);
    y += bytes;
    gradient += bytes;
    dX += bytes;
  }
}
