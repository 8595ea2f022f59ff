// Copies between strided views and contiguous ones, up to four axes; `size` is the element's bytes (1, 2 or 4).

// @ts-expect-error AssemblyScript's decorator
@inline
function element(from: usize, to: usize, size: usize): void {
  if (size == 4) store<u32>(to, load<u32>(from));
  else if (size == 2) store<u16>(to, load<u16>(from));
  else store<u8>(to, load<u8>(from));
}

/** `out` [n0, n1, n2, n3] contiguous from `x` by strides in bytes. */
export function gather(
  x: usize, out: usize, size: usize, n0: usize, n1: usize, n2: usize, n3: usize, s0: usize, s1: usize, s2: usize, s3: usize,
): void {
  const row = n3 * size;
  for (let i: usize = 0; i < n0; i++) {
    for (let j: usize = 0; j < n1; j++) {
      let from = x + i * s0 + j * s1;
      for (let k: usize = 0; k < n2; k++) {
        if (s3 == size) {
          memory.copy(out, from, row);
          out += row;
        } else {
          let at = from;
          for (const end = out + row; out < end; out += size) {
            element(at, out, size);
            at += s3;
          }
        }
        from += s2;
      }
    }
  }
}

/** One row of `count` elements between memory by steps in bytes. */
// @ts-expect-error AssemblyScript's decorator
@inline
function copyRow(from: usize, fromStep: usize, to: usize, toStep: usize, size: usize, count: usize): void {
  if (fromStep == size && toStep == size) {
    const bytes = count * size;
    if (bytes > 128) {
      memory.copy(to, from, bytes);
      return;
    }
    // Short rows: a call would cost more than the copy.
    let at: usize = 0;
    for (; at + 16 <= bytes; at += 16) v128.store(to + at, v128.load(from + at));
    for (; at < bytes; at += size) element(from + at, to + at, size);
    return;
  }
  if (fromStep == 0 && size == 4 && toStep == 4) {
    const value = v128.load32_splat(from);
    let at: usize = 0;
    for (; at + 4 <= count; at += 4) v128.store(to + (at << 2), value);
    for (; at < count; at++) v128.store_lane<u32>(to + (at << 2), value, 0);
    return;
  }
  for (let c: usize = 0; c < count; c++) {
    element(from, to, size);
    from += fromStep;
    to += toStep;
  }
}

/**
 * Rows `begin .. end` of a copy between a view of six axes, by strides in bytes (any, also negative or 0), and contiguous memory.
 * A row is the last axis; `gathers` says that the view is read.
 */
export function copyRows(
  gathers: i32, view: usize, packed: usize, size: usize, n1: usize, n2: usize, n3: usize, n4: usize, n5: usize,
  s0: usize, s1: usize, s2: usize, s3: usize, s4: usize, s5: usize, begin: usize, end: usize,
): void {
  if (begin >= end) return;
  let rest = begin;
  let i4 = rest % n4;
  rest /= n4;
  let i3 = rest % n3;
  rest /= n3;
  let i2 = rest % n2;
  rest /= n2;
  let i1 = rest % n1;
  const i0 = rest / n1;
  let strided = view + i0 * s0 + i1 * s1 + i2 * s2 + i3 * s3 + i4 * s4;
  const row = n5 * size;
  let contiguous = packed + begin * row;
  for (let r = begin; r < end; r++) {
    if (gathers) copyRow(strided, s5, contiguous, size, size, n5);
    else copyRow(contiguous, size, strided, s5, size, n5);
    contiguous += row;
    strided += s4;
    if (++i4 < n4) continue;
    i4 = 0;
    strided += s3 - n4 * s4;
    if (++i3 < n3) continue;
    i3 = 0;
    strided += s2 - n3 * s3;
    if (++i2 < n2) continue;
    i2 = 0;
    strided += s1 - n2 * s2;
    if (++i1 < n1) continue;
    i1 = 0;
    strided += s0 - n1 * s1;
  }
}

/**
 * {@link transpose} of large matrices by way of a buffer of 16 x 16 (1 KiB at `buffer`), so that each line of memory on either side
 * is touched once: strides that are multiples of a page would throw half-used lines out of the first cache.
 */
export function transposeBuffered(
  x: usize, xStride: usize, out: usize, outStride: usize, rows: usize, columns: usize, buffer: usize,
): void {
  const xStep = xStride << 2;
  const outStep = outStride << 2;
  const wholeRows = rows & ~15;
  const wholeColumns = columns & ~15;
  for (let c: usize = 0; c < wholeColumns; c += 16) {
    for (let r: usize = 0; r < wholeRows; r += 16) {
      const from = x + ((c * xStride + r) << 2);
      for (let i: usize = 0; i < 16; i += 4) {
        const at = from + i * xStep;
        const to = buffer + (i << 2);
        block(at, xStep, to, 64);
        block(at + 16, xStep, to + 256, 64);
        block(at + 32, xStep, to + 512, 64);
        block(at + 48, xStep, to + 768, 64);
      }
      let to = out + ((r * outStride + c) << 2);
      for (let at = buffer; at < buffer + 1024; at += 64) {
        v128.store(to, v128.load(at));
        v128.store(to, v128.load(at, 16), 16);
        v128.store(to, v128.load(at, 32), 32);
        v128.store(to, v128.load(at, 48), 48);
        to += outStep;
      }
    }
  }
  if (wholeColumns < columns)
    transpose(x + wholeColumns * xStep, xStride, out + (wholeColumns << 2), outStride, wholeRows, columns - wholeColumns);
  if (wholeRows < rows) transpose(x + (wholeRows << 2), xStride, out + wholeRows * outStep, outStride, rows - wholeRows, columns);
}

/** {@link transpose} of elements of 1 or 2 bytes, by tiles that fit the first cache. */
export function transposeNarrow(
  x: usize, xStride: usize, out: usize, outStride: usize, rows: usize, columns: usize, size: usize,
): void {
  const TILE: usize = 32;
  for (let r0: usize = 0; r0 < rows; r0 += TILE) {
    const r1 = min(r0 + TILE, rows);
    for (let c0: usize = 0; c0 < columns; c0 += TILE) {
      const c1 = min(c0 + TILE, columns);
      for (let r = r0; r < r1; r++) {
        let from = x + (c0 * xStride + r) * size;
        let to = out + (r * outStride + c0) * size;
        for (const stop = to + (c1 - c0) * size; to < stop; to += size) {
          element(from, to, size);
          from += xStride * size;
        }
      }
    }
  }
}

/** `out[r * outStride + c] = x[c * xStride + r]` for 4-byte elements, by 4 x 4 blocks inside tiles that fit the first cache. */
export function transpose(x: usize, xStride: usize, out: usize, outStride: usize, rows: usize, columns: usize): void {
  const TILE: usize = 32;
  for (let r0: usize = 0; r0 < rows; r0 += TILE) {
    const r1 = min(r0 + TILE, rows);
    for (let c0: usize = 0; c0 < columns; c0 += TILE) {
      const c1 = min(c0 + TILE, columns);
      let r = r0;
      for (; r + 4 <= r1; r += 4) {
        let c = c0;
        for (; c + 4 <= c1; c += 4) block(x + ((c * xStride + r) << 2), xStride << 2, out + ((r * outStride + c) << 2), outStride << 2);
        for (; c < c1; c++) {
          for (let i: usize = 0; i < 4; i++) store<u32>(out + (((r + i) * outStride + c) << 2), load<u32>(x + ((c * xStride + r + i) << 2)));
        }
      }
      for (; r < r1; r++) {
        for (let c = c0; c < c1; c++) store<u32>(out + ((r * outStride + c) << 2), load<u32>(x + ((c * xStride + r) << 2)));
      }
    }
  }
}

// @ts-expect-error AssemblyScript's decorator
@inline
function block(x: usize, xStep: usize, out: usize, outStep: usize): void {
  const a = v128.load(x);
  const b = v128.load(x + xStep);
  const c = v128.load(x + 2 * xStep);
  const d = v128.load(x + 3 * xStep);
  const ab = v128.shuffle<f32>(a, b, 0, 4, 1, 5);
  const cd = v128.shuffle<f32>(c, d, 0, 4, 1, 5);
  const ef = v128.shuffle<f32>(a, b, 2, 6, 3, 7);
  const gh = v128.shuffle<f32>(c, d, 2, 6, 3, 7);
  v128.store(out, v128.shuffle<f64>(ab, cd, 0, 2));
  v128.store(out + outStep, v128.shuffle<f64>(ab, cd, 1, 3));
  v128.store(out + 2 * outStep, v128.shuffle<f64>(ef, gh, 0, 2));
  v128.store(out + 3 * outStep, v128.shuffle<f64>(ef, gh, 1, 3));
}
