// RMSNorm and LayerNorm: rows of `columns` numbers. Sums run in f32 on sixteen lanes, then in f64.

import { madd, storeFirst, sumLanesF64 } from "./lanes";

/** Sum of (x - shift)^2; of x itself where `plain`. */
// @ts-expect-error AssemblyScript's decorator
@inline
function rowSum(x: usize, count: usize, shift: f32, plain: bool): f64 {
  const m = f32x4.splat(shift);
  let total: f64 = 0;
  const end = x + (count << 2);
  const blocks = x + ((count & ~15) << 2);
  while (x < blocks) {
    // A few hundred sums a lane, then on to f64.
    const stop = min(x + 8192, blocks);
    let s0 = f32x4.splat(0);
    let s1 = s0;
    let s2 = s0;
    let s3 = s0;
    while (x < stop) {
      if (plain) {
        s0 = f32x4.add(s0, v128.load(x));
        s1 = f32x4.add(s1, v128.load(x, 16));
        s2 = f32x4.add(s2, v128.load(x, 32));
        s3 = f32x4.add(s3, v128.load(x, 48));
      } else {
        const a = f32x4.sub(v128.load(x), m);
        const b = f32x4.sub(v128.load(x, 16), m);
        const c = f32x4.sub(v128.load(x, 32), m);
        const d = f32x4.sub(v128.load(x, 48), m);
        s0 = madd(a, a, s0);
        s1 = madd(b, b, s1);
        s2 = madd(c, c, s2);
        s3 = madd(d, d, s3);
      }
      x += 64;
    }
    total += sumLanesF64(f32x4.add(f32x4.add(s0, s1), f32x4.add(s2, s3)));
  }
  while (x < end) {
    const value = <f64>load<f32>(x) - <f64>shift;
    total += plain ? value : value * value;
    x += 4;
  }
  return total;
}

// @ts-expect-error AssemblyScript's decorator
@inline
function normalized4(x: usize, at: usize, mean: v128, factor: v128, weight: usize, bias: usize, centred: bool, weighted: bool, biased: bool): v128 {
  let v = v128.load(x + at);
  if (centred) v = f32x4.sub(v, mean);
  v = f32x4.mul(v, factor);
  if (weighted && biased) return madd(v, v128.load(weight + at), v128.load(bias + at));
  if (weighted) v = f32x4.mul(v, v128.load(weight + at));
  if (biased) v = f32x4.add(v, v128.load(bias + at));
  return v;
}

/** `out = (x - mean) * factor * weight + bias`. */
// @ts-expect-error AssemblyScript's decorator
@inline
function normalizeRow(x: usize, count: usize, mean: f32, factor: f32, weight: usize, bias: usize, out: usize, centred: bool, weighted: bool, biased: bool): void {
  const m = f32x4.splat(mean);
  const f = f32x4.splat(factor);
  const bytes = count << 2;
  const vectors = bytes & ~15;
  let at: usize = 0;
  for (; at + 32 <= vectors; at += 32) {
    v128.store(out + at, normalized4(x, at, m, f, weight, bias, centred, weighted, biased));
    v128.store(out + at, normalized4(x, at + 16, m, f, weight, bias, centred, weighted, biased), 16);
  }
  for (; at < vectors; at += 16) v128.store(out + at, normalized4(x, at, m, f, weight, bias, centred, weighted, biased));
  if (at < bytes) storeFirst(out + at, normalized4(x, at, m, f, weight, bias, centred, weighted, biased), count & 3);
}

/** `scale = sqrt(mean(x^2) + epsilon)`, `out = x / scale * weight`; a null pointer stands for no weight or no scale. */
export function rmsNorm(x: usize, weight: usize, rows: usize, columns: usize, epsilon: f64, out: usize, scales: usize): void {
  for (let r: usize = 0; r < rows; r++) {
    const scale = Math.sqrt(rowSum(x, columns, 0, false) / <f64>columns + epsilon);
    const factor = <f32>(1 / scale);
    if (weight != 0) normalizeRow(x, columns, 0, factor, weight, 0, out, false, true, false);
    else normalizeRow(x, columns, 0, factor, 0, 0, out, false, false, false);
    if (scales != 0) store<f32>(scales + (r << 2), <f32>scale);
    x += columns << 2;
    out += columns << 2;
  }
}

/** `scale = sqrt(variance(x) + epsilon)`, `out = (x - mean) / scale * weight + bias`; null pointers stand for what is left out. */
export function layerNorm(x: usize, weight: usize, bias: usize, rows: usize, columns: usize, epsilon: f64, out: usize, means: usize, scales: usize): void {
  for (let r: usize = 0; r < rows; r++) {
    const mean = <f32>(rowSum(x, columns, 0, true) / <f64>columns);
    const scale = Math.sqrt(rowSum(x, columns, mean, false) / <f64>columns + epsilon);
    const factor = <f32>(1 / scale);
    if (weight != 0) {
      if (bias != 0) normalizeRow(x, columns, mean, factor, weight, bias, out, true, true, true);
      else normalizeRow(x, columns, mean, factor, weight, 0, out, true, true, false);
    } else if (bias != 0) normalizeRow(x, columns, mean, factor, 0, bias, out, true, false, true);
    else normalizeRow(x, columns, mean, factor, 0, 0, out, true, false, false);
    if (means != 0) store<f32>(means + (r << 2), mean);
    if (scales != 0) store<f32>(scales + (r << 2), <f32>scale);
    x += columns << 2;
    out += columns << 2;
  }
}

// The two sums of a row's gradient: of d = gradient * weight, and of d * (x - mean).
let innerSum: f64 = 0;
let productSum: f64 = 0;

// @ts-expect-error AssemblyScript's decorator
@inline
function gradientSums(x: usize, gradient: usize, weight: usize, mean: f32, count: usize, weighted: bool): void {
  const m = f32x4.splat(mean);
  const bytes = count << 2;
  const vectors = bytes & ~31;
  let inner: f64 = 0;
  let product: f64 = 0;
  let at: usize = 0;
  while (at < vectors) {
    const stop = min(at + 4096, vectors);
    let i0 = f32x4.splat(0);
    let i1 = i0;
    let p0 = i0;
    let p1 = i0;
    for (; at < stop; at += 32) {
      let d0 = v128.load(gradient + at);
      let d1 = v128.load(gradient + at, 16);
      if (weighted) {
        d0 = f32x4.mul(d0, v128.load(weight + at));
        d1 = f32x4.mul(d1, v128.load(weight + at, 16));
      }
      i0 = f32x4.add(i0, d0);
      i1 = f32x4.add(i1, d1);
      p0 = madd(d0, f32x4.sub(v128.load(x + at), m), p0);
      p1 = madd(d1, f32x4.sub(v128.load(x + at, 16), m), p1);
    }
    inner += sumLanesF64(f32x4.add(i0, i1));
    product += sumLanesF64(f32x4.add(p0, p1));
  }
  for (; at < bytes; at += 4) {
    let d = <f64>load<f32>(gradient + at);
    if (weighted) d *= <f64>load<f32>(weight + at);
    inner += d;
    product += d * (<f64>load<f32>(x + at) - <f64>mean);
  }
  innerSum = inner;
  productSum = product;
}

/**
 * With d = gradient * weight and n = (x - mean) * factor: `dX = d * factor - shift - n * slope`, `dWeight += gradient * n`,
 * `dBias += gradient`, each where wanted.
 */
// @ts-expect-error AssemblyScript's decorator
@inline
function gradientRow(
  x: usize, gradient: usize, weight: usize, count: usize, mean: f32, factor: f32, shift: f32, slope: f32,
  dX: usize, dWeight: usize, dBias: usize, weighted: bool, wantsX: bool, wantsWeight: bool, wantsBias: bool,
): void {
  const bytes = count << 2;
  const vectors = bytes & ~15;
  const m = f32x4.splat(mean);
  const f = f32x4.splat(factor);
  const c = f32x4.splat(shift);
  const s = f32x4.splat(slope);
  let at: usize = 0;
  for (; at < vectors; at += 16) {
    const g = v128.load(gradient + at);
    const n = f32x4.mul(f32x4.sub(v128.load(x + at), m), f);
    if (wantsX) {
      const d = weighted ? f32x4.mul(g, v128.load(weight + at)) : g;
      v128.store(dX + at, f32x4.sub(f32x4.sub(f32x4.mul(d, f), c), f32x4.mul(n, s)));
    }
    if (wantsWeight) v128.store(dWeight + at, madd(g, n, v128.load(dWeight + at)));
    if (wantsBias) v128.store(dBias + at, f32x4.add(g, v128.load(dBias + at)));
  }
  for (; at < bytes; at += 4) {
    const g = load<f32>(gradient + at);
    const n = (load<f32>(x + at) - mean) * factor;
    if (wantsX) {
      const d = weighted ? g * load<f32>(weight + at) : g;
      store<f32>(dX + at, d * factor - shift - n * slope);
    }
    if (wantsWeight) store<f32>(dWeight + at, load<f32>(dWeight + at) + g * n);
    if (wantsBias) store<f32>(dBias + at, load<f32>(dBias + at) + g);
  }
}

/**
 * The gradient of a part of the rows. `dWeight` and `dBias` are this part's own sums and are set, not added to. Null pointers
 * stand for what is not there (means, weight, scaleGradients) or not wanted.
 */
export function normGradient(
  x: usize, means: usize, scales: usize, weight: usize, gradient: usize, scaleGradients: usize,
  rows: usize, columns: usize, dX: usize, dWeight: usize, dBias: usize,
): void {
  if (dWeight != 0) memory.fill(dWeight, 0, columns << 2);
  if (dBias != 0) memory.fill(dBias, 0, columns << 2);
  const count = <f64>columns;
  for (let r: usize = 0; r < rows; r++) {
    const mean: f32 = means == 0 ? 0 : load<f32>(means + (r << 2));
    const factor: f64 = 1 / <f64>load<f32>(scales + (r << 2));
    const f = <f32>factor;
    let shift: f32 = 0;
    let slope: f32 = 0;
    if (dX != 0) {
      if (weight != 0) gradientSums(x, gradient, weight, mean, columns, true);
      else gradientSums(x, gradient, 0, mean, columns, false);
      if (means != 0) shift = <f32>((innerSum / count) * factor);
      const ofScale: f64 = scaleGradients == 0 ? 0 : <f64>load<f32>(scaleGradients + (r << 2));
      slope = <f32>((productSum * factor * factor - ofScale) / count);
      if (weight != 0) {
        if (dWeight != 0) {
          if (dBias != 0) gradientRow(x, gradient, weight, columns, mean, f, shift, slope, dX, dWeight, dBias, true, true, true, true);
          else gradientRow(x, gradient, weight, columns, mean, f, shift, slope, dX, dWeight, 0, true, true, true, false);
        } else {
          gradientRow(x, gradient, weight, columns, mean, f, shift, slope, dX, 0, 0, true, true, false, false);
          if (dBias != 0) gradientRow(x, gradient, 0, columns, mean, f, 0, 0, 0, 0, dBias, false, false, false, true);
        }
      } else {
        gradientRow(x, gradient, 0, columns, mean, f, shift, slope, dX, 0, 0, false, true, false, false);
        if (dWeight != 0) gradientRow(x, gradient, 0, columns, mean, f, 0, 0, 0, dWeight, 0, false, false, true, false);
        if (dBias != 0) gradientRow(x, gradient, 0, columns, mean, f, 0, 0, 0, 0, dBias, false, false, false, true);
      }
      dX += columns << 2;
    } else {
      if (dWeight != 0) gradientRow(x, gradient, 0, columns, mean, f, 0, 0, 0, dWeight, 0, false, false, true, false);
      if (dBias != 0) gradientRow(x, gradient, 0, columns, mean, f, 0, 0, 0, 0, dBias, false, false, false, true);
    }
    x += columns << 2;
    gradient += columns << 2;
  }
}

/** `out[i] = sum over the parts of parts[p * stride + i]`, added in order in f64, for `count` numbers; 0 for no parts. */
export function sumNormParts(parts: usize, partCount: usize, stride: usize, count: usize, out: usize): void {
  for (let i: usize = 0; i < count; i++) {
    let total: f64 = 0;
    let at = parts + (i << 2);
    for (let p: usize = 0; p < partCount; p++) {
      total += <f64>load<f32>(at);
      at += stride << 2;
    }
    store<f32>(out + (i << 2), <f32>total);
  }
}
