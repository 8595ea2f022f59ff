// Products of many entries of sparse rows with dense matrices. Entries are grouped by latent, and the columns are cut into strips of
// 32: a strip of the small matrix [rows, columns] fits the second cache, a latent's part of it eight registers. So the large matrix
// [width, columns] is walked in order, once, and what is met at random is near. Strips of the small matrix are packed: 128
// bytes to a row, the last strip filled up with zeros.

import { madd } from "./lanes";

/** Columns of a strip. */
const stripColumns: usize = 32;
/** Latents whose lines are asked for together, before the first of them is worked on. */
const ahead: usize = 8;

/** How many entries each latent has, i32 [width], cleared first. Entries of coefficient 0 are left out; a null list is of ones. */
export function countLatents(
  rows: usize, capacity: i32, counts: usize, indices: usize, coefficients: usize, width: usize, histogram: usize,
): void {
  memory.fill(histogram, 0, width << 2);
  const step = <usize>capacity << 2;
  for (let r: usize = 0; r < rows; r++) {
    const bytes = <usize>min(load<i32>(counts + (r << 2)), capacity) << 2;
    for (let at: usize = 0; at < bytes; at += 4) {
      if (coefficients != 0 && load<f32>(coefficients + at) == 0) continue;
      const to = histogram + (<usize>load<i32>(indices + at) << 2);
      store<i32>(to, load<i32>(to) + 1);
    }
    indices += step;
    coefficients += coefficients == 0 ? 0 : step;
  }
}

/**
 * Turns the histograms of `parts` consecutive blocks of rows into the place of each latent's first entry in each block; `starts` i32
 * [width + 1] are the latents' first places of all.
 */
export function latentStarts(histograms: usize, parts: usize, width: usize, starts: usize): void {
  let place = 0;
  const step = width << 2;
  for (let latent: usize = 0; latent < width; latent++) {
    store<i32>(starts + (latent << 2), place);
    let at = histograms + (latent << 2);
    for (let part: usize = 0; part < parts; part++) {
      const count = load<i32>(at);
      store<i32>(at, place);
      place += count;
      at += step;
    }
  }
  store<i32>(starts + step, place);
}

/**
 * Puts the entries of a block of rows at their places (`cursors` of {@link latentStarts}, which move): the byte offset of the entry's
 * row in a packed strip, and as `payload` either its coefficient or, if `coefficients` is null, its byte offset in the `[rows,
 * capacity]` arrays. `firstRow` is the block's first row.
 */
export function placeEntries(
  firstRow: usize, rows: usize, capacity: i32, counts: usize, indices: usize, coefficients: usize, cursors: usize,
  offsets: usize, payload: usize,
): void {
  const step = <usize>capacity << 2;
  for (let r: usize = 0; r < rows; r++) {
    const bytes = <usize>min(load<i32>(counts + (r << 2)), capacity) << 2;
    const offset = <u32>((firstRow + r) * stripColumns * 4);
    const entry = (firstRow + r) * step;
    for (let at: usize = 0; at < bytes; at += 4) {
      let own = <u32>(entry + at);
      if (coefficients != 0) {
        const value = load<f32>(coefficients + at);
        if (value == 0) continue;
        own = reinterpret<u32>(value);
      }
      const cursor = cursors + (<usize>load<i32>(indices + at) << 2);
      const place = <usize>load<i32>(cursor) << 2;
      store<i32>(cursor, load<i32>(cursor) + 1);
      store<u32>(offsets + place, offset);
      store<u32>(payload + place, own);
    }
    indices += step;
    coefficients += coefficients == 0 ? 0 : step;
  }
}

/** Packs `count` columns of `x`, whose rows are `columns` apart. */
export function packStrip(x: usize, rows: usize, columns: usize, count: usize, out: usize): void {
  const row = columns << 2;
  for (let r: usize = 0; r < rows; r++) {
    copyStrip(x, out, count);
    x += row;
    out += stripColumns * 4;
  }
}

/** The reverse of {@link packStrip}. */
export function unpackStrip(strip: usize, rows: usize, columns: usize, count: usize, out: usize): void {
  const row = columns << 2;
  for (let r: usize = 0; r < rows; r++) {
    if (count == stripColumns) copyStrip(strip, out, count);
    else memory.copy(out, strip, count << 2);
    strip += stripColumns * 4;
    out += row;
  }
}

/** A packed strip whose rows are all `count` numbers of `bias`, or 0 if it is null. */
export function fillStrip(bias: usize, rows: usize, count: usize, out: usize): void {
  if (bias == 0) {
    memory.fill(out, 0, rows * stripColumns * 4);
    return;
  }
  for (let r: usize = 0; r < rows; r++) {
    copyStrip(bias, out, count);
    out += stripColumns * 4;
  }
}

/** Copies `count` numbers and fills up with zeros. */
// @ts-expect-error AssemblyScript's decorator
@inline
function copyStrip(from: usize, to: usize, count: usize): void {
  if (count == stripColumns) {
    v128.store(to, v128.load(from));
    v128.store(to, v128.load(from, 16), 16);
    v128.store(to, v128.load(from, 32), 32);
    v128.store(to, v128.load(from, 48), 48);
    v128.store(to, v128.load(from, 64), 64);
    v128.store(to, v128.load(from, 80), 80);
    v128.store(to, v128.load(from, 96), 96);
    v128.store(to, v128.load(from, 112), 112);
  } else {
    memory.copy(to, from, count << 2);
    memory.fill(to + (count << 2), 0, (stripColumns - count) << 2);
  }
}

/** Asks for the lines of a few latents' rows at once, so that their delays overlap. Returns what keeps the loads alive. */
// @ts-expect-error AssemblyScript's decorator
@inline
function touch(at: usize, row: usize, latents: usize): f32 {
  let sink: f32 = 0;
  for (let i: usize = 0; i < latents; i++) {
    sink += load<f32>(at) + load<f32>(at, 64);
    at += row;
  }
  return sink;
}

/**
 * For each entry of latents `first .. last`: `out[latent] += factor * strip[row]`, over `count` columns. `out` is the place of the
 * first latent's row, rows `columns` apart; `spare` has room for one row of a strip.
 */
export function outerAddStrip(
  first: usize, last: usize, starts: usize, offsets: usize, factors: usize, strip: usize, columns: usize, count: usize,
  out: usize, spare: usize,
): void {
  const row = columns << 2;
  const whole = count == stripColumns;
  let sink: f32 = 0;
  for (let latent = first; latent < last; latent++) {
    if (whole && ((latent - first) & (ahead - 1)) == 0) sink += touch(out, row, min(ahead, last - latent));
    const begin = <usize>load<i32>(starts + (latent << 2)) << 2;
    const end = <usize>load<i32>(starts + (latent << 2), 4) << 2;
    if (begin < end) {
      let at = out;
      if (!whole) {
        at = spare;
        copyStrip(out, spare, count);
      }
      let s0 = v128.load(at);
      let s1 = v128.load(at, 16);
      let s2 = v128.load(at, 32);
      let s3 = v128.load(at, 48);
      let s4 = v128.load(at, 64);
      let s5 = v128.load(at, 80);
      let s6 = v128.load(at, 96);
      let s7 = v128.load(at, 112);
      for (let e = begin; e < end; e += 4) {
        const x = strip + <usize>load<u32>(offsets + e);
        const c = v128.load32_splat(factors + e);
        s0 = madd(c, v128.load(x), s0);
        s1 = madd(c, v128.load(x, 16), s1);
        s2 = madd(c, v128.load(x, 32), s2);
        s3 = madd(c, v128.load(x, 48), s3);
        s4 = madd(c, v128.load(x, 64), s4);
        s5 = madd(c, v128.load(x, 80), s5);
        s6 = madd(c, v128.load(x, 96), s6);
        s7 = madd(c, v128.load(x, 112), s7);
      }
      v128.store(at, s0);
      v128.store(at, s1, 16);
      v128.store(at, s2, 32);
      v128.store(at, s3, 48);
      v128.store(at, s4, 64);
      v128.store(at, s5, 80);
      v128.store(at, s6, 96);
      v128.store(at, s7, 112);
      if (!whole) memory.copy(out, spare, count << 2);
    }
    out += row;
  }
  store<f32>(spare, sink);
}

/**
 * For each entry: `strip[row] += factor * weight[latent]`, over `count` columns. `weight` is the place of the first latent's row;
 * `spare` has room for one row of a strip.
 */
export function decodeStrip(
  width: usize, starts: usize, offsets: usize, factors: usize, weight: usize, columns: usize, count: usize, strip: usize, spare: usize,
): void {
  const row = columns << 2;
  const whole = count == stripColumns;
  let sink: f32 = 0;
  for (let latent: usize = 0; latent < width; latent++) {
    if (whole && (latent & (ahead - 1)) == 0) sink += touch(weight, row, min(ahead, width - latent));
    const begin = <usize>load<i32>(starts + (latent << 2)) << 2;
    const end = <usize>load<i32>(starts + (latent << 2), 4) << 2;
    if (begin < end) {
      let from = weight;
      if (!whole) {
        from = spare;
        copyStrip(weight, spare, count);
      }
      const w0 = v128.load(from);
      const w1 = v128.load(from, 16);
      const w2 = v128.load(from, 32);
      const w3 = v128.load(from, 48);
      const w4 = v128.load(from, 64);
      const w5 = v128.load(from, 80);
      const w6 = v128.load(from, 96);
      const w7 = v128.load(from, 112);
      for (let e = begin; e < end; e += 4) {
        const at = strip + <usize>load<u32>(offsets + e);
        const c = v128.load32_splat(factors + e);
        v128.store(at, madd(c, w0, v128.load(at)));
        v128.store(at, madd(c, w1, v128.load(at, 16)), 16);
        v128.store(at, madd(c, w2, v128.load(at, 32)), 32);
        v128.store(at, madd(c, w3, v128.load(at, 48)), 48);
        v128.store(at, madd(c, w4, v128.load(at, 64)), 64);
        v128.store(at, madd(c, w5, v128.load(at, 80)), 80);
        v128.store(at, madd(c, w6, v128.load(at, 96)), 96);
        v128.store(at, madd(c, w7, v128.load(at, 112)), 112);
      }
    }
    weight += row;
  }
  store<f32>(spare, sink);
}

/** Product of a row of a strip with eight registers, lane by lane. */
// @ts-expect-error AssemblyScript's decorator
@inline
function lanes(x: usize, w0: v128, w1: v128, w2: v128, w3: v128, w4: v128, w5: v128, w6: v128, w7: v128): v128 {
  let a = f32x4.mul(w0, v128.load(x));
  let b = f32x4.mul(w1, v128.load(x, 16));
  a = madd(w2, v128.load(x, 32), a);
  b = madd(w3, v128.load(x, 48), b);
  a = madd(w4, v128.load(x, 64), a);
  b = madd(w5, v128.load(x, 80), b);
  a = madd(w6, v128.load(x, 96), a);
  b = madd(w7, v128.load(x, 112), b);
  return f32x4.add(a, b);
}

/**
 * For each entry of latents `first .. last`, in grouped order: `dots[entry] += weight[latent] . strip[row]`, over `count` columns.
 * `weight` is the place of the first latent's row; `spare` has room for one row of a strip.
 */
export function dotStrip(
  first: usize, last: usize, starts: usize, offsets: usize, weight: usize, columns: usize, count: usize, strip: usize,
  dots: usize, spare: usize,
): void {
  const row = columns << 2;
  const whole = count == stripColumns;
  let sink: f32 = 0;
  for (let latent = first; latent < last; latent++) {
    if (whole && ((latent - first) & (ahead - 1)) == 0) sink += touch(weight, row, min(ahead, last - latent));
    const begin = <usize>load<i32>(starts + (latent << 2)) << 2;
    const end = <usize>load<i32>(starts + (latent << 2), 4) << 2;
    if (begin < end) {
      let from = weight;
      if (!whole) {
        from = spare;
        copyStrip(weight, spare, count);
      }
      const w0 = v128.load(from);
      const w1 = v128.load(from, 16);
      const w2 = v128.load(from, 32);
      const w3 = v128.load(from, 48);
      const w4 = v128.load(from, 64);
      const w5 = v128.load(from, 80);
      const w6 = v128.load(from, 96);
      const w7 = v128.load(from, 112);
      let e = begin;
      for (; e + 16 <= end; e += 16) {
        const o = offsets + e;
        const a0 = lanes(strip + <usize>load<u32>(o), w0, w1, w2, w3, w4, w5, w6, w7);
        const a1 = lanes(strip + <usize>load<u32>(o, 4), w0, w1, w2, w3, w4, w5, w6, w7);
        const a2 = lanes(strip + <usize>load<u32>(o, 8), w0, w1, w2, w3, w4, w5, w6, w7);
        const a3 = lanes(strip + <usize>load<u32>(o, 12), w0, w1, w2, w3, w4, w5, w6, w7);
        // Sums of the lanes by a transposition.
        const t0 = f32x4.add(v128.shuffle<f32>(a0, a1, 0, 4, 1, 5), v128.shuffle<f32>(a0, a1, 2, 6, 3, 7));
        const t1 = f32x4.add(v128.shuffle<f32>(a2, a3, 0, 4, 1, 5), v128.shuffle<f32>(a2, a3, 2, 6, 3, 7));
        const sums = f32x4.add(v128.shuffle<f64>(t0, t1, 0, 2), v128.shuffle<f64>(t0, t1, 1, 3));
        v128.store(dots + e, f32x4.add(v128.load(dots + e), sums));
      }
      for (; e < end; e += 4) {
        const a = lanes(strip + <usize>load<u32>(offsets + e), w0, w1, w2, w3, w4, w5, w6, w7);
        // As the transposition adds them, so that an entry's sum does not depend on its neighbours.
        const sum = (f32x4.extract_lane(a, 0) + f32x4.extract_lane(a, 2)) + (f32x4.extract_lane(a, 1) + f32x4.extract_lane(a, 3));
        store<f32>(dots + e, load<f32>(dots + e) + sum);
      }
    }
    weight += row;
  }
  store<f32>(spare, sink);
}

/** Sums of `parts` lists of `listed` numbers in grouped order, of the entries `begin .. end`, to the entries' places. */
export function scatterDots(begin: usize, end: usize, parts: usize, listed: usize, dots: usize, places: usize, out: usize): void {
  const step = listed << 2;
  for (let e = begin << 2; e < end << 2; e += 4) {
    let sum: f32 = 0;
    let at = dots + e;
    for (let part: usize = 0; part < parts; part++) {
      sum += load<f32>(at);
      at += step;
    }
    store<f32>(out + <usize>load<u32>(places + e), sum);
  }
}

/** The i32 at an address, for tasks: they see the memory through kernels alone. */
export function numberAt(at: usize): i32 {
  return load<i32>(at);
}
