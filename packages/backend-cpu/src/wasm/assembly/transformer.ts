// Norms, rotary embedding and attention over a short query.

import { axpy, dot, madd, storeFirst, sumLanes } from "./lanes";
import { exp4 } from "./functions";

// @ts-expect-error AssemblyScript's decorator
@inline
function squares(x: usize, count: usize): f64 {
  let s0 = f32x4.splat(0);
  let s1 = s0;
  let s2 = s0;
  let s3 = s0;
  const end = x + (count << 2);
  while (x + 64 <= end) {
    const a = v128.load(x);
    const b = v128.load(x, 16);
    const c = v128.load(x, 32);
    const d = v128.load(x, 48);
    s0 = madd(a, a, s0);
    s1 = madd(b, b, s1);
    s2 = madd(c, c, s2);
    s3 = madd(d, d, s3);
    x += 64;
  }
  let total = <f64>sumLanes(f32x4.add(f32x4.add(s0, s1), f32x4.add(s2, s3)));
  while (x < end) {
    const value = <f64>load<f32>(x);
    total += value * value;
    x += 4;
  }
  return total;
}

/** `scale = sqrt(mean(x^2) + epsilon)`, `out = x / scale * weight`; a null pointer stands for no weight or no scale. */
export function rmsNorm(x: usize, weight: usize, rows: usize, columns: usize, epsilon: f64, out: usize, scales: usize): void {
  for (let r: usize = 0; r < rows; r++) {
    const scale = <f32>Math.sqrt(squares(x, columns) / <f64>columns + epsilon);
    const factor = f32x4.splat(<f32>(1 / <f64>scale));
    let i: usize = 0;
    if (weight != 0) {
      for (; i + 4 <= columns; i += 4) {
        v128.store(out + (i << 2), f32x4.mul(f32x4.mul(v128.load(x + (i << 2)), factor), v128.load(weight + (i << 2))));
      }
      if (i < columns) {
        storeFirst(out + (i << 2), f32x4.mul(f32x4.mul(v128.load(x + (i << 2)), factor), v128.load(weight + (i << 2))), columns - i);
      }
    } else {
      for (; i + 4 <= columns; i += 4) v128.store(out + (i << 2), f32x4.mul(v128.load(x + (i << 2)), factor));
      if (i < columns) storeFirst(out + (i << 2), f32x4.mul(v128.load(x + (i << 2)), factor), columns - i);
    }
    if (scales != 0) store<f32>(scales + (r << 2), scale);
    x += columns << 2;
    out += columns << 2;
  }
}

/** Pairs (i, i + half) of each head turned by the angle of the token's position, in place. */
export function rope(x: usize, cos: usize, sin: usize, positions: usize, tokens: usize, heads: usize, half: usize): void {
  for (let t: usize = 0; t < tokens; t++) {
    const row = (<usize>load<i32>(positions + (t << 2)) * half) << 2;
    for (let h: usize = 0; h < heads; h++) {
      const other = x + (half << 2);
      let i: usize = 0;
      for (; i + 4 <= half; i += 4) {
        const at = i << 2;
        const a = v128.load(x + at);
        const b = v128.load(other + at);
        const c = v128.load(cos + row + at);
        const s = v128.load(sin + row + at);
        v128.store(x + at, f32x4.sub(f32x4.mul(a, c), f32x4.mul(b, s)));
        v128.store(other + at, f32x4.add(f32x4.mul(b, c), f32x4.mul(a, s)));
      }
      for (; i < half; i++) {
        const at = i << 2;
        const a = load<f32>(x + at);
        const b = load<f32>(other + at);
        const c = load<f32>(cos + row + at);
        const s = load<f32>(sin + row + at);
        store<f32>(x + at, a * c - b * s);
        store<f32>(other + at, b * c + a * s);
      }
      x += half << 3;
    }
  }
}

/** `out[r] = table[ids[r]]`, rows of `bytes` bytes. */
export function gatherRows(table: usize, ids: usize, rows: usize, bytes: usize, out: usize): void {
  for (let r: usize = 0; r < rows; r++) {
    memory.copy(out, table + <usize>load<i32>(ids + (r << 2)) * bytes, bytes);
    out += bytes;
  }
}

/**
 * Attention of one query head at one position over `visible` keys. `keyStride` is the elements from one key to the next;
 * `scores` has room for `visible` + 4 numbers.
 */
export function attendOne(q: usize, k: usize, v: usize, keyStride: usize, visible: usize, dHead: usize, scale: f32, scores: usize, out: usize): void {
  const step = keyStride << 2;
  let peak: f32 = -Infinity;
  for (let j: usize = 0; j < visible; j++) {
    const score = dot(q, k + j * step, dHead) * scale;
    store<f32>(scores + (j << 2), score);
    peak = max(peak, score);
  }
  const shift = f32x4.splat(peak);
  let sums = f32x4.splat(0);
  // The padding after the last score gives e^-inf = 0.
  for (let j = visible; j & 3; j++) store<f32>(scores + (j << 2), -Infinity);
  for (let j: usize = 0; j < visible; j += 4) {
    const e = exp4(f32x4.sub(v128.load(scores + (j << 2)), shift));
    v128.store(scores + (j << 2), e);
    sums = f32x4.add(sums, e);
  }
  const factor: f32 = 1 / sumLanes(sums);
  memory.fill(out, 0, dHead << 2);
  for (let j: usize = 0; j < visible; j++) axpy(out, dHead, v + j * step, load<f32>(scores + (j << 2)) * factor);
}
