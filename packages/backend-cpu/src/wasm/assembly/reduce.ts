// Reductions of [outer, axis, inner]: rows where inner is 1, columns else. Sums: eight f32 are added pairwise, the groups in f64.

import { exp4 } from "./functions";
import { maxLanes, rowMax } from "./lanes";

// Order of `ReduceOperator` in the backend contract.
const LOG_SUM_EXP = 0, MAX = 1, MEAN = 2, MIN = 3, PRODUCT = 4, SUM = 5, MAGNITUDES = 6, SQUARES = 7;

/** What is summed: numbers, their magnitudes or squares. */
// @ts-expect-error AssemblyScript's decorator
@inline
function prepare(operator: i32, v: v128): v128 {
  if (operator == SQUARES) return f32x4.mul(v, v);
  return operator == MAGNITUDES ? f32x4.abs(v) : v;
}

// @ts-expect-error AssemblyScript's decorator
@inline
function prepareOne(operator: i32, value: f64): f64 {
  if (operator == SQUARES) return value * value;
  return operator == MAGNITUDES ? abs(value) : value;
}

// @ts-expect-error AssemblyScript's decorator
@inline
function highPair(v: v128): v128 {
  return f64x2.promote_low_f32x4(v128.shuffle<f32>(v, v, 2, 3, 2, 3));
}

// @ts-expect-error AssemblyScript's decorator
@inline
function rowSum(operator: i32, x: usize, count: usize): f64 {
  const end = x + (count << 2);
  let low = f64x2.splat(0);
  let high = low;
  let otherLow = low;
  let otherHigh = low;
  // Two chains, each waiting for an addition in f64.
  for (; x + 64 <= end; x += 64) {
    const pair = f32x4.add(prepare(operator, v128.load(x)), prepare(operator, v128.load(x, 16)));
    const other = f32x4.add(prepare(operator, v128.load(x, 32)), prepare(operator, v128.load(x, 48)));
    low = f64x2.add(low, f64x2.promote_low_f32x4(pair));
    high = f64x2.add(high, highPair(pair));
    otherLow = f64x2.add(otherLow, f64x2.promote_low_f32x4(other));
    otherHigh = f64x2.add(otherHigh, highPair(other));
  }
  for (; x + 16 <= end; x += 16) {
    const v = prepare(operator, v128.load(x));
    low = f64x2.add(low, f64x2.promote_low_f32x4(v));
    high = f64x2.add(high, highPair(v));
  }
  low = f64x2.add(f64x2.add(low, high), f64x2.add(otherLow, otherHigh));
  let total = f64x2.extract_lane(low, 0) + f64x2.extract_lane(low, 1);
  for (; x < end; x += 4) total += prepareOne(operator, <f64>load<f32>(x));
  return total;
}

/** Smallest of `count` numbers; NaN if any is NaN. */
function rowMin(x: usize, count: usize): f32 {
  const end = x + (count << 2);
  let best = f32x4.splat(Infinity);
  let other = best;
  for (; x + 32 <= end; x += 32) {
    best = f32x4.min(best, v128.load(x));
    other = f32x4.min(other, v128.load(x, 16));
  }
  best = f32x4.min(best, other);
  let value = min(
    min(f32x4.extract_lane(best, 0), f32x4.extract_lane(best, 1)),
    min(f32x4.extract_lane(best, 2), f32x4.extract_lane(best, 3)),
  );
  for (; x < end; x += 4) value = min(value, load<f32>(x));
  return value;
}

function rowProduct(x: usize, count: usize): f64 {
  let product: f64 = 1;
  for (const end = x + (count << 2); x < end; x += 4) product *= <f64>load<f32>(x);
  return product;
}

/** What is subtracted before exponentials are taken: the largest number, unless that is infinite. */
// @ts-expect-error AssemblyScript's decorator
@inline
function offsetOf(largest: f32): f32 {
  return abs(largest) == Infinity ? 0 : largest;
}

function rowLogSumExp(x: usize, count: usize): f64 {
  const offset = offsetOf(rowMax(x, count));
  const shift = f32x4.splat(offset);
  const end = x + (count << 2);
  let low = f64x2.splat(0);
  let high = low;
  for (; x + 32 <= end; x += 32) {
    const pair = f32x4.add(exp4(f32x4.sub(v128.load(x), shift)), exp4(f32x4.sub(v128.load(x, 16), shift)));
    low = f64x2.add(low, f64x2.promote_low_f32x4(pair));
    high = f64x2.add(high, highPair(pair));
  }
  low = f64x2.add(low, high);
  let total = f64x2.extract_lane(low, 0) + f64x2.extract_lane(low, 1);
  for (; x < end; x += 4) {
    total += <f64>f32x4.extract_lane(exp4(f32x4.sub(v128.load32_splat(x), shift)), 0);
  }
  return <f64>offset + NativeMath.log(total);
}

/** Of one row; a mean is not yet divided. */
function reduceRow(operator: i32, x: usize, count: usize): f64 {
  if (operator == LOG_SUM_EXP) return rowLogSumExp(x, count);
  if (operator == MAX) return <f64>rowMax(x, count);
  if (operator == MIN) return <f64>rowMin(x, count);
  if (operator == PRODUCT) return rowProduct(x, count);
  if (operator == MAGNITUDES) return rowSum(MAGNITUDES, x, count);
  if (operator == SQUARES) return rowSum(SQUARES, x, count);
  return rowSum(SUM, x, count);
}

/** inner = 1: one number for each of `rows` rows of `axis` elements. */
export function reduceRows(operator: i32, x: usize, rows: usize, axis: usize, out: usize): void {
  const divisor: f64 = operator == MEAN ? <f64>axis : 1;
  for (let r: usize = 0; r < rows; r++) {
    store<f32>(out + (r << 2), <f32>(reduceRow(operator, x + ((r * axis) << 2), axis) / divisor));
  }
}

/** Long rows in parts: partials `begin .. end`, in f64, of rows that have `parts` of `length` elements each (the last one fewer). */
export function reduceParts(
  operator: i32, x: usize, axis: usize, length: usize, parts: usize, begin: usize, end: usize, partials: usize,
): void {
  for (let p = begin; p < end; p++) {
    const start = (p % parts) * length;
    const at = x + (((p / parts) * axis + start) << 2);
    store<f64>(partials + (p << 3), reduceRow(operator, at, min(length, axis - start)));
  }
}

/** The parts together, in their order. */
export function combineParts(operator: i32, partials: usize, rows: usize, parts: usize, axis: usize, out: usize): void {
  for (let r: usize = 0; r < rows; r++) {
    const from = partials + ((r * parts) << 3);
    let value = load<f64>(from);
    if (operator == LOG_SUM_EXP) value = combineLogSumExp(from, parts);
    else {
      for (let p: usize = 1; p < parts; p++) {
        const next = load<f64>(from + (p << 3));
        if (operator == MAX) value = max(value, next);
        else if (operator == MIN) value = min(value, next);
        else if (operator == PRODUCT) value *= next;
        else value += next;
      }
    }
    store<f32>(out + (r << 2), <f32>(operator == MEAN ? value / <f64>axis : value));
  }
}

function combineLogSumExp(partials: usize, parts: usize): f64 {
  let offset = load<f64>(partials);
  for (let p: usize = 1; p < parts; p++) offset = max(offset, load<f64>(partials + (p << 3)));
  if (abs(offset) == Infinity) offset = 0;
  let total: f64 = 0;
  for (let p: usize = 0; p < parts; p++) total += NativeMath.exp(load<f64>(partials + (p << 3)) - offset);
  return offset + NativeMath.log(total);
}

/**
 * inner > 1: `columns` columns of a matrix of `axis` rows that are `inner` elements apart. `scratch` holds `columns` f64, which
 * are added to once for every eight rows (their pairwise f32 sum), so that the wide accumulators cost little.
 */
export function reduceColumns(
  operator: i32, x: usize, axis: usize, inner: usize, columns: usize, out: usize, scratch: usize,
): void {
  if (operator == MAX) extremeDown(MAX, x, axis, inner, columns, out);
  else if (operator == MIN) extremeDown(MIN, x, axis, inner, columns, out);
  else if (operator == LOG_SUM_EXP) logSumExpDown(x, axis, inner, columns, out, scratch);
  else {
    if (operator == PRODUCT) productDown(x, axis, inner, columns, scratch);
    else if (operator == SQUARES) sumDown(SQUARES, x, axis, inner, columns, scratch);
    else if (operator == MAGNITUDES) sumDown(MAGNITUDES, x, axis, inner, columns, scratch);
    else sumDown(SUM, x, axis, inner, columns, scratch);
    const divisor: f64 = operator == MEAN ? <f64>axis : 1;
    for (let i: usize = 0; i < columns; i++) store<f32>(out + (i << 2), <f32>(load<f64>(scratch + (i << 3)) / divisor));
  }
}

// @ts-expect-error AssemblyScript's decorator
@inline
function extremeDown(operator: i32, x: usize, axis: usize, inner: usize, columns: usize, out: usize): void {
  memory.copy(out, x, columns << 2);
  for (let a: usize = 1; a < axis; a++) {
    x += inner << 2;
    let i: usize = 0;
    for (; i + 4 <= columns; i += 4) {
      const best = v128.load(out + (i << 2));
      const v = v128.load(x + (i << 2));
      v128.store(out + (i << 2), operator == MAX ? f32x4.max(best, v) : f32x4.min(best, v));
    }
    for (; i < columns; i++) {
      const best = load<f32>(out + (i << 2));
      const value = load<f32>(x + (i << 2));
      store<f32>(out + (i << 2), operator == MAX ? max(best, value) : min(best, value));
    }
  }
}

/** scratch[i] = the column's sum. */
// @ts-expect-error AssemblyScript's decorator
@inline
function sumDown(operator: i32, x: usize, axis: usize, inner: usize, columns: usize, scratch: usize): void {
  memory.fill(scratch, 0, columns << 3);
  const step = inner << 2;
  let a: usize = 0;
  for (; a + 8 <= axis; a += 8) {
    let i: usize = 0;
    for (; i + 4 <= columns; i += 4) {
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
      addWide(scratch + (i << 3), sum);
    }
    for (; i < columns; i++) {
      let sum: f64 = 0;
      let at = x + (i << 2);
      for (let j = 0; j < 8; j++) {
        sum += prepareOne(operator, <f64>load<f32>(at));
        at += step;
      }
      store<f64>(scratch + (i << 3), load<f64>(scratch + (i << 3)) + sum);
    }
    x += step << 3;
  }
  for (; a < axis; a++) {
    for (let i: usize = 0; i < columns; i++) {
      const value = prepareOne(operator, <f64>load<f32>(x + (i << 2)));
      store<f64>(scratch + (i << 3), load<f64>(scratch + (i << 3)) + value);
    }
    x += step;
  }
}

/** Adds four f32 to four f64. */
// @ts-expect-error AssemblyScript's decorator
@inline
function addWide(to: usize, v: v128): void {
  v128.store(to, f64x2.add(v128.load(to), f64x2.promote_low_f32x4(v)));
  v128.store(to, f64x2.add(v128.load(to, 16), highPair(v)), 16);
}

function productDown(x: usize, axis: usize, inner: usize, columns: usize, scratch: usize): void {
  for (let i: usize = 0; i < columns; i++) store<f64>(scratch + (i << 3), 1);
  for (let a: usize = 0; a < axis; a++) {
    for (let i: usize = 0; i < columns; i++) {
      store<f64>(scratch + (i << 3), load<f64>(scratch + (i << 3)) * <f64>load<f32>(x + (i << 2)));
    }
    x += inner << 2;
  }
}

function logSumExpDown(x: usize, axis: usize, inner: usize, columns: usize, out: usize, scratch: usize): void {
  extremeDown(MAX, x, axis, inner, columns, out);
  for (let i: usize = 0; i < columns; i++) store<f32>(out + (i << 2), offsetOf(load<f32>(out + (i << 2))));
  memory.fill(scratch, 0, columns << 3);
  for (let a: usize = 0; a < axis; a++) {
    let i: usize = 0;
    for (; i + 4 <= columns; i += 4) {
      addWide(scratch + (i << 3), exp4(f32x4.sub(v128.load(x + (i << 2)), v128.load(out + (i << 2)))));
    }
    for (; i < columns; i++) {
      const power = exp4(f32x4.splat(load<f32>(x + (i << 2)) - load<f32>(out + (i << 2))));
      store<f64>(scratch + (i << 3), load<f64>(scratch + (i << 3)) + <f64>f32x4.extract_lane(power, 0));
    }
    x += inner << 2;
  }
  for (let i: usize = 0; i < columns; i++) {
    const at = out + (i << 2);
    store<f32>(at, <f32>(<f64>load<f32>(at) + NativeMath.log(load<f64>(scratch + (i << 3)))));
  }
}

/** sum((x - mean)^2) / divisor for each row; the rounding of the mean to f32 is made good by the sum of the deviations. */
export function varianceRows(x: usize, rows: usize, axis: usize, divisor: f64, out: usize): void {
  for (let r: usize = 0; r < rows; r++) {
    const mean = <f32>(rowSum(SUM, x, axis) / <f64>axis);
    const shift = f32x4.splat(mean);
    const end = x + (axis << 2);
    let low = f64x2.splat(0);
    let high = low;
    let sums = low;
    for (; x + 16 <= end; x += 16) {
      const v = f32x4.sub(v128.load(x), shift);
      const square = f32x4.mul(v, v);
      low = f64x2.add(low, f64x2.promote_low_f32x4(square));
      high = f64x2.add(high, highPair(square));
      sums = f64x2.add(sums, f64x2.add(f64x2.promote_low_f32x4(v), highPair(v)));
    }
    low = f64x2.add(low, high);
    let squares = f64x2.extract_lane(low, 0) + f64x2.extract_lane(low, 1);
    let sum = f64x2.extract_lane(sums, 0) + f64x2.extract_lane(sums, 1);
    for (; x < end; x += 4) {
      const value = <f64>(load<f32>(x) - mean);
      squares += value * value;
      sum += value;
    }
    // Not below 0 by rounding; NaN stays, since max would lose it in a comparison.
    const total = squares - (sum * sum) / <f64>axis;
    store<f32>(out + (r << 2), <f32>((total < 0 ? 0 : total) / divisor));
  }
}

/** The same down columns, in f64; `scratch` holds twice `columns` f64. */
export function varianceColumns(
  x: usize, axis: usize, inner: usize, columns: usize, divisor: f64, out: usize, scratch: usize,
): void {
  sumDown(SUM, x, axis, inner, columns, scratch);
  const squares = scratch + (columns << 3);
  memory.fill(squares, 0, columns << 3);
  for (let i: usize = 0; i < columns; i++) store<f64>(scratch + (i << 3), load<f64>(scratch + (i << 3)) / <f64>axis);
  for (let a: usize = 0; a < axis; a++) {
    for (let i: usize = 0; i < columns; i++) {
      const deviation = <f64>load<f32>(x + (i << 2)) - load<f64>(scratch + (i << 3));
      store<f64>(squares + (i << 3), load<f64>(squares + (i << 3)) + deviation * deviation);
    }
    x += inner << 2;
  }
  for (let i: usize = 0; i < columns; i++) store<f32>(out + (i << 2), <f32>(load<f64>(squares + (i << 3)) / divisor));
}

/** dx[k] = d * the product of all others: the product of those before, then of those behind. Lanes `begin .. end` of outer x inner. */
export function productGradient(x: usize, d: usize, axis: usize, inner: usize, begin: usize, end: usize, dx: usize): void {
  const step = inner << 2;
  for (let lane = begin; lane < end; lane++) {
    const first = ((lane / inner) * axis * inner + (lane % inner)) << 2;
    const length = axis * step;
    let before: f64 = 1;
    for (let at: usize = 0; at < length; at += step) {
      store<f32>(dx + first + at, <f32>before);
      before *= <f64>load<f32>(x + first + at);
    }
    let behind = <f64>load<f32>(d + (lane << 2));
    for (let at = length; at > 0; ) {
      at -= step;
      store<f32>(dx + first + at, <f32>(<f64>load<f32>(dx + first + at) * behind));
      behind *= <f64>load<f32>(x + first + at);
    }
  }
}

// @ts-expect-error AssemblyScript's decorator
@inline
function better(largest: bool, a: v128, b: v128): v128 {
  // pmax and pmin keep their first operand against a NaN in the second.
  return largest ? f32x4.pmax(a, b) : f32x4.pmin(a, b);
}

// @ts-expect-error AssemblyScript's decorator
@inline
function argRow(largest: bool, x: usize, columns: usize): usize {
  const worst: f32 = largest ? -Infinity : Infinity;
  let peaks = f32x4.splat(worst);
  let i: usize = 0;
  for (; i + 4 <= columns; i += 4) peaks = better(largest, peaks, v128.load(x + (i << 2)));
  let best = largest
    ? maxLanes(peaks)
    : min(
        min(f32x4.extract_lane(peaks, 0), f32x4.extract_lane(peaks, 1)),
        min(f32x4.extract_lane(peaks, 2), f32x4.extract_lane(peaks, 3)),
      );
  for (; i < columns; i++) {
    const value = load<f32>(x + (i << 2));
    if (largest ? value > best : value < best) best = value;
  }
  if (best == worst) return 0;
  i = 0;
  const wanted = f32x4.splat(best);
  while (i + 4 <= columns && !v128.any_true(f32x4.eq(v128.load(x + (i << 2)), wanted))) i += 4;
  while (load<f32>(x + (i << 2)) != best) i++;
  return i;
}

/** Index of each row's largest (or smallest) element, the first of equals; NaN never wins. */
export function argRows(largest: i32, x: usize, rows: usize, columns: usize, out: usize): void {
  for (let r: usize = 0; r < rows; r++) {
    const at = x + ((r * columns) << 2);
    store<i32>(out + (r << 2), <i32>(largest ? argRow(true, at, columns) : argRow(false, at, columns)));
  }
}

/** The same down columns; `scratch` holds `columns` f32. */
export function argColumns(
  largest: i32, x: usize, axis: usize, inner: usize, columns: usize, out: usize, scratch: usize,
): void {
  const worst: f32 = largest ? -Infinity : Infinity;
  for (let i: usize = 0; i < columns; i++) store<f32>(scratch + (i << 2), worst);
  memory.fill(out, 0, columns << 2);
  for (let a: usize = 0; a < axis; a++) {
    for (let i: usize = 0; i < columns; i++) {
      const value = load<f32>(x + (i << 2));
      const best = load<f32>(scratch + (i << 2));
      if (largest ? value > best : value < best) {
        store<f32>(scratch + (i << 2), value);
        store<i32>(out + (i << 2), <i32>a);
      }
    }
    x += inner << 2;
  }
}

/** Sum of min(counts[r], capacity) over the rows: how many entries sparse rows hold. */
export function countEntries(counts: usize, rows: usize, capacity: i32): f64 {
  let total: f64 = 0;
  for (const end = counts + (rows << 2); counts < end; counts += 4) total += <f64>min(load<i32>(counts), capacity);
  return total;
}

