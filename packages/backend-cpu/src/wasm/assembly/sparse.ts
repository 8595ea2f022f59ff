// Products of sparse rows with dense matrices. An entry costs one pass over one row of the dense matrix. Few entries are taken row
// by row; many are first grouped by latent, so that the large matrix [width, columns] is walked in order, once, and only the
// small one [rows, columns] is met at random: it fits the last cache, and its pages the address translation buffers.

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

/** The same over entries grouped by latent: the large `weight` is read once, in order. `out` holds the bias or 0 already. */
export function decodeGrouped(width: usize, starts: usize, offsets: usize, factors: usize, weight: usize, columns: usize, out: usize): void {
  for (let latent: usize = 0; latent < width; latent++) {
    let e = <usize>load<i32>(starts + (latent << 2));
    const end = <usize>load<i32>(starts + ((latent + 1) << 2));
    for (; e + 2 <= end; e += 2) {
      const o = offsets + (e << 2);
      const c = factors + (e << 2);
      spread2(weight, columns, out + load<u32>(o), out + load<u32>(o, 4), load<f32>(c), load<f32>(c, 4));
    }
    if (e < end) axpy(out + load<u32>(offsets + (e << 2)), columns, weight, load<f32>(factors + (e << 2)));
    weight += columns << 2;
  }
}

/** y0 += c0 * x, y1 += c1 * x. */
// @ts-expect-error AssemblyScript's decorator
@inline
function spread2(x: usize, count: usize, y0: usize, y1: usize, c0: f32, c1: f32): void {
  const v0 = f32x4.splat(c0);
  const v1 = f32x4.splat(c1);
  const end = x + (count << 2);
  const d0 = y0 - x;
  const d1 = y1 - x;
  for (; x + 32 <= end; x += 32) {
    const v = v128.load(x);
    const w = v128.load(x, 16);
    const at = x + d0;
    const to = x + d1;
    v128.store(at, madd(v0, v, v128.load(at)));
    v128.store(at, madd(v0, w, v128.load(at, 16)), 16);
    v128.store(to, madd(v1, v, v128.load(to)));
    v128.store(to, madd(v1, w, v128.load(to, 16)), 16);
  }
  for (; x < end; x += 4) {
    store<f32>(x + d0, load<f32>(x + d0) + c0 * load<f32>(x));
    store<f32>(x + d1, load<f32>(x + d1) + c1 * load<f32>(x));
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

/** The same over entries grouped by latent; `places` are their byte offsets in `out`. */
export function dotGrouped(width: usize, starts: usize, offsets: usize, places: usize, weight: usize, x: usize, columns: usize, out: usize): void {
  for (let latent: usize = 0; latent < width; latent++) {
    let e = <usize>load<i32>(starts + (latent << 2));
    const end = <usize>load<i32>(starts + ((latent + 1) << 2));
    for (; e + 4 <= end; e += 4) {
      const o = offsets + (e << 2);
      const p = places + (e << 2);
      const products = dot4(x + load<u32>(o), x + load<u32>(o, 4), x + load<u32>(o, 8), x + load<u32>(o, 12), weight, columns);
      v128.store_lane<f32>(out + load<u32>(p), products, 0);
      v128.store_lane<f32>(out + load<u32>(p, 4), products, 1);
      v128.store_lane<f32>(out + load<u32>(p, 8), products, 2);
      v128.store_lane<f32>(out + load<u32>(p, 12), products, 3);
    }
    for (; e < end; e++) store<f32>(out + load<u32>(places + (e << 2)), dot(x + load<u32>(offsets + (e << 2)), weight, columns));
    weight += columns << 2;
  }
}

/**
 * Orders entries by latent (counting sort, rows ascending within a latent): `starts` i32 [width + 2], of which the first width + 1
 * are used; for each entry its row's byte offset in a matrix with rows of `rowBytes`; and as `payload` either its coefficient
 * (entries of coefficient 0 are left out) or, if `coefficients` is null, its byte offset in the `[rows, capacity]` arrays.
 */
export function groupByLatent(
  rows: usize, capacity: i32, counts: usize, indices: usize, coefficients: usize, width: usize, rowBytes: usize,
  starts: usize, offsets: usize, payload: usize,
): void {
  memory.fill(starts, 0, (width + 2) << 2);
  const step = <usize>capacity << 2;
  let index = indices;
  let coefficient = coefficients;
  // Counts go two places up, so that after the second pass `starts[latent]` is a latent's first entry.
  for (let r: usize = 0; r < rows; r++) {
    const bytes = <usize>min(load<i32>(counts + (r << 2)), capacity) << 2;
    for (let at: usize = 0; at < bytes; at += 4) {
      if (coefficients != 0 && load<f32>(coefficient + at) == 0) continue;
      const to = starts + ((<usize>load<i32>(index + at) + 2) << 2);
      store<i32>(to, load<i32>(to) + 1);
    }
    index += step;
    coefficient += step;
  }
  for (let i: usize = 2; i <= width + 1; i++) {
    store<i32>(starts + (i << 2), load<i32>(starts + (i << 2)) + load<i32>(starts + ((i - 1) << 2)));
  }
  index = indices;
  coefficient = coefficients;
  for (let r: usize = 0; r < rows; r++) {
    const bytes = <usize>min(load<i32>(counts + (r << 2)), capacity) << 2;
    for (let at: usize = 0; at < bytes; at += 4) {
      let load32: u32;
      if (coefficients == 0) load32 = <u32>(r * step + at);
      else {
        const value = load<f32>(coefficient + at);
        if (value == 0) continue;
        load32 = reinterpret<u32>(value);
      }
      const cursor = starts + ((<usize>load<i32>(index + at) + 1) << 2);
      const place = <usize>load<i32>(cursor);
      store<i32>(cursor, <i32>place + 1);
      store<u32>(offsets + (place << 2), <u32>(r * rowBytes));
      store<u32>(payload + (place << 2), load32);
    }
    index += step;
    coefficient += step;
  }
}

/** For each entry: `out[indices[e]] += coefficients[e] * x[row]`, row by row. */
export function outerAddRows(
  rows: usize, capacity: i32, counts: usize, indices: usize, coefficients: usize, x: usize, columns: usize, out: usize,
): void {
  const row = columns << 2;
  const step = <usize>capacity << 2;
  for (let r: usize = 0; r < rows; r++) {
    const bytes = <usize>min(load<i32>(counts + (r << 2)), capacity) << 2;
    for (let at: usize = 0; at < bytes; at += 4) {
      const value = load<f32>(coefficients + at);
      if (value != 0) axpy(out + <usize>load<i32>(indices + at) * row, columns, x, value);
    }
    indices += step;
    coefficients += step;
    x += row;
  }
}

/**
 * The same over entries grouped by latent: each row of `out` stays in the first cache while `x`, much the smaller matrix, is
 * read from the last one.
 */
export function outerAddGrouped(width: usize, starts: usize, offsets: usize, factors: usize, x: usize, columns: usize, out: usize): void {
  const row = columns << 2;
  for (let latent: usize = 0; latent < width; latent++) {
    let e = <usize>load<i32>(starts + (latent << 2));
    const end = <usize>load<i32>(starts + ((latent + 1) << 2));
    for (; e + 4 <= end; e += 4) {
      const o = offsets + (e << 2);
      const c = factors + (e << 2);
      axpy4(
        out, columns, x + load<u32>(o), x + load<u32>(o, 4), x + load<u32>(o, 8), x + load<u32>(o, 12),
        load<f32>(c), load<f32>(c, 4), load<f32>(c, 8), load<f32>(c, 12),
      );
    }
    for (; e < end; e++) axpy(out, columns, x + load<u32>(offsets + (e << 2)), load<f32>(factors + (e << 2)));
    out += row;
  }
}

/** For each entry: `sums[indices[e]] += coefficients[e]`, f64. */
export function scatterSums(rows: usize, capacity: i32, counts: usize, indices: usize, coefficients: usize, sums: usize): void {
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

/** For each entry with value > 0: `out[indices[e]] += 1`, i32. */
export function countFiring(rows: usize, capacity: i32, counts: usize, indices: usize, values: usize, out: usize): void {
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

/** `dPre[e] = dValues[e]` where `values[e] > 0`, else 0. */
export function reluGradient(rows: usize, capacity: i32, counts: usize, values: usize, dValues: usize, dPre: usize): void {
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
