// Cross entropy and its gradient, row by row.

import { madd, storeFirst } from "./lanes";
import { expFlushed4, peakAndTotal, rowTotal } from "./row-exponentials";

// @ts-expect-error AssemblyScript's decorator
@inline
function sumOf(x: usize, count: usize): f64 {
  let total: f64 = 0;
  const end = x + (count << 2);
  for (; x + 16 <= end; x += 16) {
    const v = v128.load(x);
    const pair = f64x2.add(f64x2.promote_low_f32x4(v), f64x2.promote_low_f32x4(v128.shuffle<f32>(v, v, 2, 3, 2, 3)));
    total += f64x2.extract_lane(pair, 0) + f64x2.extract_lane(pair, 1);
  }
  for (; x < end; x += 4) total += <f64>load<f32>(x);
  return total;
}

/**
 * `logsumexp(x[r]) - (1 - smoothing) x[r][target] - smoothing mean(x[r]) + zLoss logsumexp(x[r])^2`; 0 for an ignored target, NaN
 * for one that is not below `columns`. `statistics` gets each row's maximum and sum of e^(x - maximum), unless null.
 */
export function crossEntropyRows(x: usize, targets: usize, rows: usize, columns: usize, ignore: i32, smoothing: f64, zLoss: f64, out: usize, statistics: usize): void {
  for (let r: usize = 0; r < rows; r++) {
    const target = load<i32>(targets + (r << 2));
    let loss: f64 = 0;
    if (target >= 0 && target != ignore) {
      const peak = peakAndTotal(x, columns);
      const log = Math.log(rowTotal);
      loss = NaN;
      if (<usize>target < columns) {
        const picked = <f64>load<f32>(x + (<usize>target << 2));
        // Differences to the maximum first: they are small where the loss is.
        if (smoothing == 0) loss = log + (<f64>peak - picked);
        else loss = log + (1 - smoothing) * (<f64>peak - picked) + smoothing * (<f64>peak - sumOf(x, columns) / <f64>columns);
        if (zLoss != 0) loss += zLoss * (log + <f64>peak) * (log + <f64>peak);
      }
      if (statistics != 0) {
        store<f32>(statistics + (r << 3), peak);
        store<f32>(statistics + (r << 3), <f32>rowTotal, 4);
      }
    }
    store<f32>(out + (r << 2), <f32>loss);
    x += columns << 2;
  }
}

/** Its gradient times `gradient[r]`; `out` may be `x`. */
export function crossEntropyGradientRows(
  x: usize, targets: usize, statistics: usize, gradient: usize, rows: usize, columns: usize, ignore: i32, smoothing: f64, zLoss: f64, out: usize,
): void {
  const bytes = columns << 2;
  for (let r: usize = 0; r < rows; r++) {
    const target = load<i32>(targets + (r << 2));
    if (target < 0 || target == ignore) memory.fill(out, 0, bytes);
    else if (<usize>target >= columns) {
      for (let at: usize = 0; at < bytes; at += 4) store<f32>(out + at, NaN);
    } else {
      const peak = load<f32>(statistics + (r << 3));
      const total = <f64>load<f32>(statistics + (r << 3), 4);
      const given = <f64>load<f32>(gradient + (r << 2));
      const factor = f32x4.splat(<f32>((given * (1 + 2 * zLoss * (<f64>peak + Math.log(total)))) / total));
      const spread = f32x4.splat(<f32>((given * -smoothing) / <f64>columns));
      const shift = f32x4.splat(peak);
      const vectors = bytes & ~31;
      let at: usize = 0;
      for (; at < vectors; at += 32) {
        const e0 = expFlushed4(f32x4.sub(v128.load(x + at), shift));
        const e1 = expFlushed4(f32x4.sub(v128.load(x + at, 16), shift));
        v128.store(out + at, madd(e0, factor, spread));
        v128.store(out + at, madd(e1, factor, spread), 16);
      }
      for (; at < bytes; at += 16) {
        const d = madd(expFlushed4(f32x4.sub(v128.load(x + at), shift)), factor, spread);
        if (at + 16 <= bytes) v128.store(out + at, d);
        else storeFirst(out + at, d, (bytes - at) >> 2);
      }
      const picked = out + (<usize>target << 2);
      store<f32>(picked, load<f32>(picked) - <f32>(given * (1 - smoothing)));
    }
    x += bytes;
    out += bytes;
  }
}

/** Number of targets that are not ignored. */
export function countTargets(targets: usize, rows: usize, ignore: i32): f64 {
  let count: f64 = 0;
  for (const end = targets + (rows << 2); targets < end; targets += 4) {
    const target = load<i32>(targets);
    if (target >= 0 && target != ignore) count += 1;
  }
  return count;
}
