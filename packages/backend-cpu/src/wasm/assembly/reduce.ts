// Reductions of [outer, axis, inner]. Sums: eight f32 are added pairwise, the groups in f64.

import { maxLanes, rowMax } from "./lanes";

// Order of `ReduceOperator` in the backend contract.
const MAX = 0, MEAN = 1, SUM_OF_SQUARES = 3;

// @ts-expect-error AssemblyScript's decorator
@inline
function prepare(operator: i32, v: v128): v128 {
  return operator == SUM_OF_SQUARES ? f32x4.mul(v, v) : v;
}

/** Each row's sum in f64. */
// @ts-expect-error AssemblyScript's decorator
@inline
function rowSum(operator: i32, x: usize, count: usize): f64 {
  let total: f64 = 0;
  const end = x + (count << 2);
  let low = f64x2.splat(0);
  let high = low;
  while (x + 32 <= end) {
    const pair = f32x4.add(prepare(operator, v128.load(x)), prepare(operator, v128.load(x, 16)));
    low = f64x2.add(low, f64x2.promote_low_f32x4(pair));
    high = f64x2.add(high, f64x2.promote_low_f32x4(v128.shuffle<f32>(pair, pair, 2, 3, 2, 3)));
    x += 32;
  }
  low = f64x2.add(low, high);
  total = f64x2.extract_lane(low, 0) + f64x2.extract_lane(low, 1);
  while (x < end) {
    const value = <f64>load<f32>(x);
    total += operator == SUM_OF_SQUARES ? value * value : value;
    x += 4;
  }
  return total;
}

/** inner = 1: one number for each of `outer` rows of `axis` elements. */
export function reduceRows(operator: i32, x: usize, outer: usize, axis: usize, out: usize): void {
  for (let r: usize = 0; r < outer; r++) {
    const at = x + ((r * axis) << 2);
    let value: f32;
    if (operator == MAX) value = rowMax(at, axis);
    else if (operator == SUM_OF_SQUARES) value = <f32>rowSum(SUM_OF_SQUARES, at, axis);
    else {
      const sum = rowSum(MEAN, at, axis);
      value = <f32>(operator == MEAN ? sum / <f64>axis : sum);
    }
    store<f32>(out + (r << 2), value);
  }
}

/**
 * inner > 1: `out [outer, inner]`, summed down the axis. `scratch` holds `inner` f64, which are added to once for every eight
 * rows (their pairwise f32 sum), so that the wide accumulators cost little.
 */
export function reduceColumns(operator: i32, x: usize, outer: usize, axis: usize, inner: usize, out: usize, scratch: usize): void {
  for (let o: usize = 0; o < outer; o++) {
    const from = x + ((o * axis * inner) << 2);
    const to = out + ((o * inner) << 2);
    if (operator == MAX) maxDown(from, axis, inner, to);
    else if (operator == SUM_OF_SQUARES) sumDown(SUM_OF_SQUARES, from, axis, inner, to, scratch, 1);
    else sumDown(MEAN, from, axis, inner, to, scratch, operator == MEAN ? <f64>axis : 1);
  }
}

function maxDown(x: usize, axis: usize, inner: usize, out: usize): void {
  memory.copy(out, x, inner << 2);
  for (let a: usize = 1; a < axis; a++) {
    x += inner << 2;
    let i: usize = 0;
    for (; i + 4 <= inner; i += 4) v128.store(out + (i << 2), f32x4.max(v128.load(out + (i << 2)), v128.load(x + (i << 2))));
    for (; i < inner; i++) store<f32>(out + (i << 2), max(load<f32>(out + (i << 2)), load<f32>(x + (i << 2))));
  }
}

// @ts-expect-error AssemblyScript's decorator
@inline
function sumDown(operator: i32, x: usize, axis: usize, inner: usize, out: usize, scratch: usize, divisor: f64): void {
  memory.fill(scratch, 0, inner << 3);
  const step = inner << 2;
  let a: usize = 0;
  for (; a + 8 <= axis; a += 8) {
    let i: usize = 0;
    for (; i + 4 <= inner; i += 4) {
      let at = x + (i << 2);
      const v0 = prepare(operator, v128.load(at));
      const v1 = prepare(operator, v128.load((at += step)));
      const v2 = prepare(operator, v128.load((at += step)));
      const v3 = prepare(operator, v128.load((at += step)));
      const v4 = prepare(operator, v128.load((at += step)));
      const v5 = prepare(operator, v128.load((at += step)));
      const v6 = prepare(operator, v128.load((at += step)));
      const v7 = prepare(operator, v128.load((at += step)));
      const sum = f32x4.add(
        f32x4.add(f32x4.add(v0, v1), f32x4.add(v2, v3)),
        f32x4.add(f32x4.add(v4, v5), f32x4.add(v6, v7)),
      );
      const to = scratch + (i << 3);
      v128.store(to, f64x2.add(v128.load(to), f64x2.promote_low_f32x4(sum)));
      v128.store(to, f64x2.add(v128.load(to, 16), f64x2.promote_low_f32x4(v128.shuffle<f32>(sum, sum, 2, 3, 2, 3))), 16);
    }
    for (; i < inner; i++) {
      let sum: f64 = 0;
      let at = x + (i << 2);
      for (let j = 0; j < 8; j++) {
        const value = <f64>load<f32>(at);
        sum += operator == SUM_OF_SQUARES ? value * value : value;
        at += step;
      }
      store<f64>(scratch + (i << 3), load<f64>(scratch + (i << 3)) + sum);
    }
    x += step << 3;
  }
  for (; a < axis; a++) {
    for (let i: usize = 0; i < inner; i++) {
      const value = <f64>load<f32>(x + (i << 2));
      store<f64>(scratch + (i << 3), load<f64>(scratch + (i << 3)) + (operator == SUM_OF_SQUARES ? value * value : value));
    }
    x += step;
  }
  for (let i: usize = 0; i < inner; i++) store<f32>(out + (i << 2), <f32>(load<f64>(scratch + (i << 3)) / divisor));
}

/** Index of each row's largest element, the first of equals; NaN counts as -infinity. */
export function argmaxRows(x: usize, rows: usize, columns: usize, out: usize): void {
  for (let r: usize = 0; r < rows; r++) {
    let peaks = f32x4.splat(-Infinity);
    let i: usize = 0;
    // pmax keeps its first operand against a NaN.
    for (; i + 4 <= columns; i += 4) peaks = f32x4.pmax(peaks, v128.load(x + (i << 2)));
    let best = maxLanes(peaks);
    for (; i < columns; i++) {
      const value = load<f32>(x + (i << 2));
      if (value > best) best = value;
    }
    i = 0;
    if (best > -Infinity) {
      const wanted = f32x4.splat(best);
      while (i + 4 <= columns && !v128.any_true(f32x4.eq(v128.load(x + (i << 2)), wanted))) i += 4;
      while (load<f32>(x + (i << 2)) != best) i++;
    }
    store<i32>(out + (r << 2), <i32>i);
    x += columns << 2;
  }
}

/** Sum of min(counts[r], capacity) over the rows: how many entries sparse rows hold. */
export function countEntries(counts: usize, rows: usize, capacity: i32): f64 {
  let total: f64 = 0;
  for (const end = counts + (rows << 2); counts < end; counts += 4) total += <f64>min(load<i32>(counts), capacity);
  return total;
}

