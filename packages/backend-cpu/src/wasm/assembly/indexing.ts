// Rows and elements by index. An index outside of its axis reads NaN (0 of integers), and what is added to it goes nowhere.

import { widenBf16Row, widenF16Row } from "./half";

// As kernels/indexing.ts numbers the dtypes.
const F32 = 0, F16 = 1, BF16 = 2;

/** `out[r] = table[ids[r]]` in f32. */
export function embedding(
  table: usize, tableRows: u32, ids: usize, rows: usize, columns: usize, dtype: i32, out: usize,
): void {
  const bytes = columns << (dtype == F32 ? 2 : 1);
  for (const end = ids + (rows << 2); ids < end; ids += 4) {
    const id = load<u32>(ids);
    const from = table + <usize>id * bytes;
    if (id >= tableRows) fillRow(out, columns << 2, 4, 0x7fc00000);
    else if (dtype == F32) memory.copy(out, from, bytes);
    else if (dtype == F16) widenF16Row(from, out, columns);
    else if (dtype == BF16) widenBf16Row(from, out, columns);
    out += columns << 2;
  }
}

/** `bytes` bytes of elements of one pattern. */
function fillRow(out: usize, bytes: usize, size: usize, pattern: u32): void {
  for (const end = out + bytes; out < end; out += size) {
    if (size == 4) store<u32>(out, pattern);
    else if (size == 2) store<u16>(out, <u16>pattern);
    else store<u8>(out, <u8>pattern);
  }
}

/** Rows `begin .. end` of `out [outer, picks, inner]` from `x [outer, axis, inner]`; `missing` is what an index outside reads. */
export function indexSelect(
  x: usize, ids: usize, axis: u32, inner: usize, picks: usize, size: usize, missing: u32, out: usize, begin: usize, end: usize,
): void {
  const bytes = inner * size;
  let o = begin / picks;
  let p = begin % picks;
  out += begin * bytes;
  for (let row = begin; row < end; row++) {
    const id = load<u32>(ids + (p << 2));
    const from = x + (o * axis + id) * bytes;
    if (id >= axis) fillRow(out, bytes, size, missing);
    else if (bytes == 4) store<u32>(out, load<u32>(from));
    else if (bytes == 2) store<u16>(out, load<u16>(from));
    else if (bytes == 1) store<u8>(out, load<u8>(from));
    else memory.copy(out, from, bytes);
    out += bytes;
    if (++p == picks) {
      p = 0;
      o++;
    }
  }
}

/** The same with an index for each element. */
export function gatherAxis(
  x: usize, indices: usize, axis: u32, inner: usize, picks: usize, size: usize, missing: u32, out: usize, begin: usize, end: usize,
): void {
  let o = begin / picks;
  let p = begin % picks;
  indices += (begin * inner) << 2;
  out += begin * inner * size;
  for (let row = begin; row < end; row++) {
    const base = x + o * axis * inner * size;
    for (let i: usize = 0; i < inner; i++) {
      const id = load<u32>(indices);
      const from = base + (id * inner + i) * size;
      const inside = id < axis;
      if (size == 4) store<u32>(out, inside ? load<u32>(from) : missing);
      else if (size == 2) store<u16>(out, inside ? load<u16>(from) : <u16>missing);
      else store<u8>(out, inside ? load<u8>(from) : <u8>missing);
      indices += 4;
      out += size;
    }
    if (++p == picks) {
      p = 0;
      o++;
    }
  }
}

/**
 * `out[o, ids[p], i] += updates[o, p, i]` for o in `outerBegin .. outerEnd`, i in `innerBegin .. innerEnd` and ids in
 * `low .. high`, in ascending order of p: a part of the output, which one thread owns.
 */
export function indexAdd(
  updates: usize, ids: usize, axis: usize, inner: usize, picks: usize, out: usize,
  outerBegin: usize, outerEnd: usize, innerBegin: usize, innerEnd: usize, low: u32, high: u32,
): void {
  const width = (innerEnd - innerBegin) << 2;
  for (let o = outerBegin; o < outerEnd; o++) {
    let from = updates + ((o * picks * inner + innerBegin) << 2);
    const base = out + ((o * axis * inner + innerBegin) << 2);
    for (let p: usize = 0; p < picks; p++) {
      const id = load<u32>(ids + (p << 2));
      if (id >= low && id < high) {
        const to = base + ((<usize>id * inner) << 2);
        let at: usize = 0;
        for (; at + 16 <= width; at += 16) v128.store(to + at, f32x4.add(v128.load(to + at), v128.load(from + at)));
        for (; at < width; at += 4) store<f32>(to + at, load<f32>(to + at) + load<f32>(from + at));
      }
      from += inner << 2;
    }
  }
}

/** The same with an index for each element. */
export function scatterAddAxis(
  updates: usize, indices: usize, axis: usize, inner: usize, picks: usize, out: usize,
  outerBegin: usize, outerEnd: usize, innerBegin: usize, innerEnd: usize, low: u32, high: u32,
): void {
  for (let o = outerBegin; o < outerEnd; o++) {
    const base = out + ((o * axis * inner) << 2);
    for (let p: usize = 0; p < picks; p++) {
      const row = ((o * picks + p) * inner) << 2;
      for (let i = innerBegin; i < innerEnd; i++) {
        const id = load<u32>(indices + row + (i << 2));
        if (id < low || id >= high) continue;
        const to = base + ((<usize>id * inner + i) << 2);
        store<f32>(to, load<f32>(to) + load<f32>(updates + row + (i << 2)));
      }
    }
  }
}

/** A row of zeros for each id, with a 1 at it. */
export function oneHot(ids: usize, rows: usize, width: u32, out: usize): void {
  memory.fill(out, 0, (rows * width) << 2);
  for (let r: usize = 0; r < rows; r++) {
    const id = load<u32>(ids + (r << 2));
    if (id < width) store<f32>(out + ((r * width + id) << 2), 1);
  }
}

/** The first place whose id is not below `bound`, and that id; -1 and 0 if there is none. */
export function firstOutside(ids: usize, count: usize, bound: u32, out: usize): void {
  store<i32>(out, -1);
  store<i32>(out, 0, 4);
  for (let p: usize = 0; p < count; p++) {
    const id = load<u32>(ids + (p << 2));
    if (id < bound) continue;
    store<i32>(out, <i32>p);
    store<u32>(out, id, 4);
    return;
  }
}
