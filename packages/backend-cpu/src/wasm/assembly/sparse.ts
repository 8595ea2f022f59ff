// Sparse rows entry by entry: products with dense matrices, each entry one pass over one row of the matrix, and what else goes
// through the rows in their order. See sparse-grouped.ts for products of many entries.

import { axpy, axpy4, dot, dot4, madd } from "./lanes";

/**
 * `out[r] = bias + sum of values[e] * weight[indices[e]]`, row by row; entries of value 0 are skipped. A null `bias` stands
 * for none.
 */
export function decodeRows(
  rows: usize, capacity: i32, counts: usize, indices: usize, values: usize, weight: usize, bias: usize, columns: usize, out: usize,
): void {
  const row = columns << 2;
  const step = <usize>capacity << 2;
  for (let r: usize = 0; r < rows; r++) {
    if (bias != 0) memory.copy(out, bias, row);
    else memory.fill(out, 0, row);
    const count = min(load<i32>(counts + (r << 2)), capacity);
    let held = 0;
    let w0: usize = 0, w1: usize = 0, w2: usize = 0;
    let c0: f32 = 0, c1: f32 = 0, c2: f32 = 0;
    for (let e = 0; e < count; e++) {
      const value = load<f32>(values + (<usize>e << 2));
      if (value == 0) continue;
      const at = weight + <usize>load<i32>(indices + (<usize>e << 2)) * row;
      if (held == 3) {
        axpy4(out, columns, w0, w1, w2, at, c0, c1, c2, value);
        held = 0;
      } else {
        if (held == 0) { w0 = at; c0 = value; }
        else if (held == 1) { w1 = at; c1 = value; }
        else { w2 = at; c2 = value; }
        held++;
      }
    }
    if (held > 0) axpy(out, columns, w0, c0);
    if (held > 1) axpy(out, columns, w1, c1);
    if (held > 2) axpy(out, columns, w2, c2);
    indices += step;
    values += step;
    out += row;
  }
}

/** For each entry: `out[e] = dot(weight[indices[e]], x[row])`, row by row. */
export function dotRows(
  rows: usize, capacity: i32, counts: usize, indices: usize, weight: usize, x: usize, columns: usize, out: usize,
): void {
  const row = columns << 2;
  const step = <usize>capacity << 2;
  for (let r: usize = 0; r < rows; r++) {
    const bytes = <usize>min(load<i32>(counts + (r << 2)), capacity) << 2;
    let at: usize = 0;
    for (; at + 16 <= bytes; at += 16) {
      const w0 = weight + <usize>load<i32>(indices + at) * row;
      const w1 = weight + <usize>load<i32>(indices + at, 4) * row;
      const w2 = weight + <usize>load<i32>(indices + at, 8) * row;
      const w3 = weight + <usize>load<i32>(indices + at, 12) * row;
      v128.store(out + at, dot4(w0, w1, w2, w3, x, columns));
    }
    for (; at < bytes; at += 4) store<f32>(out + at, dot(weight + <usize>load<i32>(indices + at) * row, x, columns));
    indices += step;
    out += step;
    x += row;
  }
}

/**
 * For each entry: `out[indices[e]] += coefficients[e] * x[row]`, row by row, over the first `part` columns of rows that are
 * `columns` apart.
 */
export function outerAddRows(
  rows: usize, capacity: i32, counts: usize, indices: usize, coefficients: usize, x: usize, columns: usize, part: usize, out: usize,
): void {
  const row = columns << 2;
  const step = <usize>capacity << 2;
  for (let r: usize = 0; r < rows; r++) {
    const bytes = <usize>min(load<i32>(counts + (r << 2)), capacity) << 2;
    for (let at: usize = 0; at < bytes; at += 4) {
      const value = load<f32>(coefficients + at);
      if (value != 0) axpy(out + <usize>load<i32>(indices + at) * row, part, x, value);
    }
    indices += step;
    coefficients += step;
    x += row;
  }
}

/** For each entry: `sums[indices[e]] += coefficients[e]`, f64 [width], cleared first. */
export function scatterSums(
  rows: usize, capacity: i32, counts: usize, indices: usize, coefficients: usize, width: usize, sums: usize,
): void {
  memory.fill(sums, 0, width << 3);
  const step = <usize>capacity << 2;
  for (let r: usize = 0; r < rows; r++) {
    const bytes = <usize>min(load<i32>(counts + (r << 2)), capacity) << 2;
    for (let at: usize = 0; at < bytes; at += 4) {
      const to = sums + (<usize>load<i32>(indices + at) << 3);
      store<f64>(to, load<f64>(to) + <f64>load<f32>(coefficients + at));
    }
    indices += step;
    coefficients += step;
  }
}

/** For each entry with value > 0: `out[indices[e]] += 1`, i32 [width], cleared first. */
export function countFiring(
  rows: usize, capacity: i32, counts: usize, indices: usize, values: usize, width: usize, out: usize,
): void {
  memory.fill(out, 0, width << 2);
  const step = <usize>capacity << 2;
  for (let r: usize = 0; r < rows; r++) {
    const bytes = <usize>min(load<i32>(counts + (r << 2)), capacity) << 2;
    for (let at: usize = 0; at < bytes; at += 4) {
      const to = out + (<usize>load<i32>(indices + at) << 2);
      store<i32>(to, load<i32>(to) + <i32>(load<f32>(values + at) > 0));
    }
    indices += step;
    values += step;
  }
}

/** `out[r]` = number of entries with value > 0, as f32. */
export function rowL0(rows: usize, capacity: i32, counts: usize, values: usize, out: usize): void {
  for (let r: usize = 0; r < rows; r++) {
    const bytes = <usize>min(load<i32>(counts + (r << 2)), capacity) << 2;
    let count = 0;
    let at: usize = 0;
    let lanes = i32x4.splat(0);
    for (; at + 16 <= bytes; at += 16) lanes = i32x4.sub(lanes, f32x4.gt(v128.load(values + at), f32x4.splat(0)));
    count = i32x4.extract_lane(lanes, 0) + i32x4.extract_lane(lanes, 1) + i32x4.extract_lane(lanes, 2) + i32x4.extract_lane(lanes, 3);
    for (; at < bytes; at += 4) count += <i32>(load<f32>(values + at) > 0);
    store<f32>(out + (r << 2), <f32>count);
    values += <usize>capacity << 2;
  }
}

/** Entries written into a cleared dense matrix `[rows, width]`. */
export function toDense(rows: usize, capacity: i32, counts: usize, indices: usize, values: usize, width: usize, out: usize): void {
  const step = <usize>capacity << 2;
  for (let r: usize = 0; r < rows; r++) {
    memory.fill(out, 0, width << 2);
    const bytes = <usize>min(load<i32>(counts + (r << 2)), capacity) << 2;
    let at: usize = 0;
    // Four at a time: these loops are bound by their own instructions when rows are dense.
    for (; at + 16 <= bytes; at += 16) {
      const index = indices + at;
      const value = values + at;
      store<u32>(out + (<usize>load<i32>(index) << 2), load<u32>(value));
      store<u32>(out + (<usize>load<i32>(index, 4) << 2), load<u32>(value, 4));
      store<u32>(out + (<usize>load<i32>(index, 8) << 2), load<u32>(value, 8));
      store<u32>(out + (<usize>load<i32>(index, 12) << 2), load<u32>(value, 12));
    }
    for (; at < bytes; at += 4) store<u32>(out + (<usize>load<i32>(indices + at) << 2), load<u32>(values + at));
    indices += step;
    values += step;
    out += width << 2;
  }
}

/** The reverse of {@link toDense}: each entry's number out of a dense matrix. */
export function fromDense(rows: usize, capacity: i32, counts: usize, indices: usize, dense: usize, width: usize, out: usize): void {
  const step = <usize>capacity << 2;
  for (let r: usize = 0; r < rows; r++) {
    const bytes = <usize>min(load<i32>(counts + (r << 2)), capacity) << 2;
    let at: usize = 0;
    for (; at + 16 <= bytes; at += 16) {
      const index = indices + at;
      let four = v128.load32_splat(dense + (<usize>load<i32>(index) << 2));
      four = v128.load_lane<u32>(dense + (<usize>load<i32>(index, 4) << 2), four, 1);
      four = v128.load_lane<u32>(dense + (<usize>load<i32>(index, 8) << 2), four, 2);
      four = v128.load_lane<u32>(dense + (<usize>load<i32>(index, 12) << 2), four, 3);
      v128.store(out + at, four);
    }
    for (; at < bytes; at += 4) store<u32>(out + at, load<u32>(dense + (<usize>load<i32>(indices + at) << 2)));
    indices += step;
    out += step;
    dense += width << 2;
  }
}

/** `out[i]` += the sum of `parts` vectors of f64 in their order, each of `count`. */
export function addSums(sums: usize, parts: usize, out: usize, count: usize): void {
  const step = count << 3;
  for (let i: usize = 0; i < count; i++) {
    let total: f64 = load<f32>(out + (i << 2));
    let at = sums + (i << 3);
    for (let part: usize = 0; part < parts; part++) {
      total += load<f64>(at);
      at += step;
    }
    store<f32>(out + (i << 2), <f32>total);
  }
}

/** The same of i32. */
export function addCounts(sums: usize, parts: usize, out: usize, count: usize): void {
  const step = count << 2;
  for (let part: usize = 0; part < parts; part++) {
    for (let i: usize = 0; i < step; i += 4) store<i32>(out + i, load<i32>(out + i) + load<i32>(sums + i));
    sums += step;
  }
}

/** The smallest value above 0; infinity where there is none. */
export function smallestValue(rows: usize, capacity: i32, counts: usize, values: usize): f32 {
  let smallest: f32 = Infinity;
  for (let r: usize = 0; r < rows; r++) {
    const bytes = <usize>min(load<i32>(counts + (r << 2)), capacity) << 2;
    for (let at: usize = 0; at < bytes; at += 4) {
      const value = load<f32>(values + at);
      if (value > 0 && value < smallest) smallest = value;
    }
    values += <usize>capacity << 2;
  }
  return smallest;
}

/** `dPre[e] = dValues[e]` where `values[e] > 0`, else 0. */
export function sparseReluGradient(rows: usize, capacity: i32, counts: usize, values: usize, dValues: usize, dPre: usize): void {
  const step = <usize>capacity << 2;
  for (let r: usize = 0; r < rows; r++) {
    const bytes = <usize>min(load<i32>(counts + (r << 2)), capacity) << 2;
    let at: usize = 0;
    for (; at + 16 <= bytes; at += 16) {
      v128.store(dPre + at, v128.and(v128.load(dValues + at), f32x4.gt(v128.load(values + at), f32x4.splat(0))));
    }
    for (; at < bytes; at += 4) store<f32>(dPre + at, select<f32>(load<f32>(dValues + at), 0, load<f32>(values + at) > 0));
    values += step;
    dValues += step;
    dPre += step;
  }
}
