// JumpReLU: which entries a row keeps, and the pseudo-gradients (2407.14435, section 3).

/**
 * Byte shuffles that move the lanes named by a 4-bit mask to the front, in order: 16 of 16 bytes. The table is what makes
 * compaction free of branches, so that a dense row costs no more than a sparse one.
 */
const compaction = memory.data<u8>([
  0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
  0, 1, 2, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
  4, 5, 6, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
  0, 1, 2, 3, 4, 5, 6, 7, 0, 0, 0, 0, 0, 0, 0, 0,
  8, 9, 10, 11, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
  0, 1, 2, 3, 8, 9, 10, 11, 0, 0, 0, 0, 0, 0, 0, 0,
  4, 5, 6, 7, 8, 9, 10, 11, 0, 0, 0, 0, 0, 0, 0, 0,
  0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 0, 0, 0, 0,
  12, 13, 14, 15, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
  0, 1, 2, 3, 12, 13, 14, 15, 0, 0, 0, 0, 0, 0, 0, 0,
  4, 5, 6, 7, 12, 13, 14, 15, 0, 0, 0, 0, 0, 0, 0, 0,
  0, 1, 2, 3, 4, 5, 6, 7, 12, 13, 14, 15, 0, 0, 0, 0,
  8, 9, 10, 11, 12, 13, 14, 15, 0, 0, 0, 0, 0, 0, 0, 0,
  0, 1, 2, 3, 8, 9, 10, 11, 12, 13, 14, 15, 0, 0, 0, 0,
  4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0, 0, 0, 0,
  0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15,
], 16);

/** Which of four entries are kept: they fire, or lie within `half` of their threshold. */
// @ts-expect-error AssemblyScript's decorator
@inline
function kept(x: v128, limit: v128, half: v128): v128 {
  return v128.or(f32x4.gt(x, limit), f32x4.lt(f32x4.abs(f32x4.sub(x, limit)), half));
}

/** Keeps entries that fire or lie within `window` (half the bandwidth) of their threshold. */
export function sparsifyJumpRelu(
  pre: usize, threshold: usize, window: f32, rows: usize, width: i32, capacity: i32,
  counts: usize, indices: usize, values: usize, preActivations: usize,
): void {
  const half = f32x4.splat(window);
  for (let r: usize = 0; r < rows; r++) {
    let count = 0;
    let i = 0;
    // Whole vectors are stored at the next free place: there must be room for all of them.
    for (; i + 16 <= width && count + 16 <= capacity; i += 16) {
      const x = pre + (<usize>i << 2);
      const limit = threshold + (<usize>i << 2);
      const k0 = kept(v128.load(x), v128.load(limit), half);
      const k1 = kept(v128.load(x, 16), v128.load(limit, 16), half);
      const k2 = kept(v128.load(x, 32), v128.load(limit, 32), half);
      const k3 = kept(v128.load(x, 48), v128.load(limit, 48), half);
      if (!v128.any_true(v128.or(v128.or(k0, k1), v128.or(k2, k3)))) continue;
      count = pack(i, k0, pre, threshold, count, preActivations, values, indices);
      count = pack(i + 4, k1, pre, threshold, count, preActivations, values, indices);
      count = pack(i + 8, k2, pre, threshold, count, preActivations, values, indices);
      count = pack(i + 12, k3, pre, threshold, count, preActivations, values, indices);
    }
    for (; i < width; i++) {
      const x = load<f32>(pre + (<usize>i << 2));
      const limit = load<f32>(threshold + (<usize>i << 2));
      const fires = x > limit;
      if (!fires && !(abs(x - limit) < window)) continue;
      if (count < capacity) {
        const at = <usize>count << 2;
        store<f32>(preActivations + at, x);
        store<f32>(values + at, fires ? x : 0);
        store<i32>(indices + at, i);
      }
      count++;
    }
    store<i32>(counts + (r << 2), count);
    pre += <usize>width << 2;
    preActivations += <usize>capacity << 2;
    values += <usize>capacity << 2;
    indices += <usize>capacity << 2;
  }
}

/** Appends the kept of the four entries from `i` on; returns the new count. */
// @ts-expect-error AssemblyScript's decorator
@inline
function pack(i: i32, keep: v128, pre: usize, threshold: usize, count: i32, preActivations: usize, values: usize, indices: usize): i32 {
  const x = v128.load(pre + (<usize>i << 2));
  const fires = f32x4.gt(x, v128.load(threshold + (<usize>i << 2)));
  const bits = i32x4.bitmask(keep);
  const order = v128.load(compaction + (<usize>bits << 4));
  const at = <usize>count << 2;
  v128.store(preActivations + at, i8x16.swizzle(x, order));
  v128.store(values + at, i8x16.swizzle(v128.and(x, fires), order));
  v128.store(indices + at, i8x16.swizzle(i32x4.add(i32x4.splat(i), i32x4(0, 1, 2, 3)), order));
  return count + popcnt(bits);
}

/**
 * `dL0` is f32 [rows], or 0 for none. `thresholdSums` are f64 [width], cleared first; the caller adds them to dThreshold.
 */
export function jumpReluGradient(
  rows: usize, capacity: i32, counts: usize, indices: usize, preActivations: usize, threshold: usize, window: f32, bandwidth: f64,
  sparsity: f64, dL0: usize, dValues: usize, dPre: usize, width: usize, thresholdSums: usize,
): void {
  memory.fill(thresholdSums, 0, width << 3);
  const inverse = 1 / bandwidth;
  const half = f32x4.splat(window);
  for (let r: usize = 0; r < rows; r++) {
    const bytes = <usize>min(load<i32>(counts + (r << 2)), capacity) << 2;
    const penalty = dL0 == 0 ? sparsity : sparsity + <f64>load<f32>(dL0 + (r << 2));
    let at: usize = 0;
    for (; at + 16 <= bytes; at += 16) {
      const index = indices + at;
      let theta = v128.load32_splat(threshold + (<usize>load<i32>(index) << 2));
      theta = v128.load_lane<u32>(threshold + (<usize>load<i32>(index, 4) << 2), theta, 1);
      theta = v128.load_lane<u32>(threshold + (<usize>load<i32>(index, 8) << 2), theta, 2);
      theta = v128.load_lane<u32>(threshold + (<usize>load<i32>(index, 12) << 2), theta, 3);
      const pre = v128.load(preActivations + at);
      v128.store(dPre + at, v128.and(v128.load(dValues + at), f32x4.gt(pre, theta)));
      let inside = i32x4.bitmask(f32x4.lt(f32x4.abs(f32x4.sub(pre, theta)), half));
      // Few entries lie in the window.
      while (inside != 0) {
        const place = at + (<usize>ctz(inside) << 2);
        inside &= inside - 1;
        addThresholdGradient(indices + place, threshold, dValues + place, penalty, inverse, thresholdSums);
      }
    }
    for (; at < bytes; at += 4) {
      const theta = load<f32>(threshold + (<usize>load<i32>(indices + at) << 2));
      const pre = load<f32>(preActivations + at);
      store<f32>(dPre + at, select<f32>(load<f32>(dValues + at), 0, pre > theta));
      if (abs(pre - theta) < window) addThresholdGradient(indices + at, threshold, dValues + at, penalty, inverse, thresholdSums);
    }
    const step = <usize>capacity << 2;
    indices += step;
    preActivations += step;
    dValues += step;
    dPre += step;
  }
}

// @ts-expect-error AssemblyScript's decorator
@inline
function addThresholdGradient(index: usize, threshold: usize, dValue: usize, sparsity: f64, inverse: f64, sums: usize): void {
  const latent = <usize>load<i32>(index);
  const theta = <f64>load<f32>(threshold + (latent << 2));
  const to = sums + (latent << 3);
  store<f64>(to, load<f64>(to) - (theta * <f64>load<f32>(dValue) + sparsity) * inverse);
}
