// Matrix product without a BLAS: packed panels and a 4 x 8 tile of the output in registers, after Goto and van de Geijn,
// "Anatomy of high-performance matrix multiplication" (2008).

import { axpy, axpy4, dot, madd, storeFirst } from "./lanes";

/** Depth of a packed block: a panel of 8 columns is 8 KiB and stays in the first cache. */
const KC: usize = 256;
/** Rows of a packed block of A: 128 KiB, for the second cache. */
const MC: usize = 128;
/** Columns of a packed block of B: 1 MiB, for the last cache. */
const NC: usize = 1024;

/** Bytes of scratch that {@link gemm} needs. */
export function gemmScratchBytes(): usize {
  return ((MC + 4) * KC + (NC + 8) * KC + 32) << 2;
}

/** Packs op(A)[m0 .. m0 + rows, k0 .. k0 + depth] into panels of 4 rows, depth by depth; missing rows are 0. */
function packA(a: usize, stride: usize, transpose: bool, m0: usize, k0: usize, rows: usize, depth: usize, out: usize): void {
  for (let r: usize = 0; r < rows; r += 4) {
    const height = min<usize>(4, rows - r);
    if (height == 4 && transpose) {
      let from = a + ((k0 * stride + m0 + r) << 2);
      for (let p: usize = 0; p < depth; p++) {
        v128.store(out, v128.load(from));
        from += stride << 2;
        out += 16;
      }
    } else if (height == 4) {
      let x = a + (((m0 + r) * stride + k0) << 2);
      const step = stride << 2;
      let p: usize = 0;
      for (; p + 4 <= depth; p += 4) {
        const v0 = v128.load(x);
        const v1 = v128.load(x + step);
        const v2 = v128.load(x + 2 * step);
        const v3 = v128.load(x + 3 * step);
        const ab = v128.shuffle<f32>(v0, v1, 0, 4, 1, 5);
        const cd = v128.shuffle<f32>(v2, v3, 0, 4, 1, 5);
        const ef = v128.shuffle<f32>(v0, v1, 2, 6, 3, 7);
        const gh = v128.shuffle<f32>(v2, v3, 2, 6, 3, 7);
        v128.store(out, v128.shuffle<f64>(ab, cd, 0, 2));
        v128.store(out, v128.shuffle<f64>(ab, cd, 1, 3), 16);
        v128.store(out, v128.shuffle<f64>(ef, gh, 0, 2), 32);
        v128.store(out, v128.shuffle<f64>(ef, gh, 1, 3), 48);
        x += 16;
        out += 64;
      }
      for (; p < depth; p++) {
        store<f32>(out, load<f32>(x));
        store<f32>(out, load<f32>(x + step), 4);
        store<f32>(out, load<f32>(x + 2 * step), 8);
        store<f32>(out, load<f32>(x + 3 * step), 12);
        x += 4;
        out += 16;
      }
    } else {
      for (let p: usize = 0; p < depth; p++) {
        for (let i: usize = 0; i < 4; i++) {
          let value: f32 = 0;
          if (i < height) {
            value = transpose
              ? load<f32>(a + (((k0 + p) * stride + m0 + r + i) << 2))
              : load<f32>(a + (((m0 + r + i) * stride + k0 + p) << 2));
          }
          store<f32>(out, value);
          out += 4;
        }
      }
    }
  }
}

/** Packs op(B)[k0 .. k0 + depth, n0 .. n0 + columns] into panels of 8 columns, depth by depth; missing columns are 0. */
function packB(b: usize, stride: usize, transpose: bool, k0: usize, n0: usize, depth: usize, columns: usize, out: usize): void {
  for (let c: usize = 0; c < columns; c += 8) {
    const width = min<usize>(8, columns - c);
    if (width == 8 && !transpose) {
      let from = b + ((k0 * stride + n0 + c) << 2);
      for (let p: usize = 0; p < depth; p++) {
        v128.store(out, v128.load(from));
        v128.store(out, v128.load(from, 16), 16);
        from += stride << 2;
        out += 32;
      }
    } else if (width == 8) {
      const step = stride << 2;
      const base = b + (((n0 + c) * stride + k0) << 2);
      for (let half: usize = 0; half < 2; half++) {
        let x = base + half * 4 * step;
        let to = out + half * 16;
        let p: usize = 0;
        for (; p + 4 <= depth; p += 4) {
          const v0 = v128.load(x);
          const v1 = v128.load(x + step);
          const v2 = v128.load(x + 2 * step);
          const v3 = v128.load(x + 3 * step);
          const ab = v128.shuffle<f32>(v0, v1, 0, 4, 1, 5);
          const cd = v128.shuffle<f32>(v2, v3, 0, 4, 1, 5);
          const ef = v128.shuffle<f32>(v0, v1, 2, 6, 3, 7);
          const gh = v128.shuffle<f32>(v2, v3, 2, 6, 3, 7);
          v128.store(to, v128.shuffle<f64>(ab, cd, 0, 2));
          v128.store(to, v128.shuffle<f64>(ab, cd, 1, 3), 32);
          v128.store(to, v128.shuffle<f64>(ef, gh, 0, 2), 64);
          v128.store(to, v128.shuffle<f64>(ef, gh, 1, 3), 96);
          x += 16;
          to += 128;
        }
        for (; p < depth; p++) {
          store<f32>(to, load<f32>(x));
          store<f32>(to, load<f32>(x + step), 4);
          store<f32>(to, load<f32>(x + 2 * step), 8);
          store<f32>(to, load<f32>(x + 3 * step), 12);
          x += 4;
          to += 32;
        }
      }
      out += depth << 5;
    } else {
      for (let p: usize = 0; p < depth; p++) {
        for (let j: usize = 0; j < 8; j++) {
          let value: f32 = 0;
          if (j < width) {
            value = transpose
              ? load<f32>(b + (((n0 + c + j) * stride + k0 + p) << 2))
              : load<f32>(b + (((k0 + p) * stride + n0 + c + j) << 2));
          }
          store<f32>(out, value);
          out += 4;
        }
      }
    }
  }
}

/** alpha * v + beta * (what is at `out`); `out` is not read when beta is 0, so that what lies there cannot matter. */
// @ts-expect-error AssemblyScript's decorator
@inline
function put(out: usize, v: v128, alpha: v128, beta: f32): void {
  v = f32x4.mul(v, alpha);
  if (beta != 0) v = f32x4.add(v, f32x4.mul(f32x4.splat(beta), v128.load(out)));
  v128.store(out, v);
}

/** One 4 x 8 tile: `rows` by `columns` of it are written; a ragged tile goes through `spare` (32 numbers). */
function tile(
  a: usize, b: usize, depth: usize, out: usize, stride: usize, rows: usize, columns: usize, alpha: f32, beta: f32, spare: usize,
): void {
  let c00 = f32x4.splat(0);
  let c01 = c00, c10 = c00, c11 = c00, c20 = c00, c21 = c00, c30 = c00, c31 = c00;
  const end = a + (depth << 4);
  // One step a turn: unrolled, the compiler moves all loads up and runs out of registers.
  while (a < end) {
    const b0 = v128.load(b);
    const b1 = v128.load(b, 16);
    let x = v128.load32_splat(a);
    c00 = madd(x, b0, c00);
    c01 = madd(x, b1, c01);
    x = v128.load32_splat(a, 4);
    c10 = madd(x, b0, c10);
    c11 = madd(x, b1, c11);
    x = v128.load32_splat(a, 8);
    c20 = madd(x, b0, c20);
    c21 = madd(x, b1, c21);
    x = v128.load32_splat(a, 12);
    c30 = madd(x, b0, c30);
    c31 = madd(x, b1, c31);
    a += 16;
    b += 32;
  }
  const factor = f32x4.splat(alpha);
  if (rows == 4 && columns == 8) {
    const step = stride << 2;
    put(out, c00, factor, beta);
    put(out + 16, c01, factor, beta);
    put(out + step, c10, factor, beta);
    put(out + step + 16, c11, factor, beta);
    put(out + 2 * step, c20, factor, beta);
    put(out + 2 * step + 16, c21, factor, beta);
    put(out + 3 * step, c30, factor, beta);
    put(out + 3 * step + 16, c31, factor, beta);
    return;
  }
  v128.store(spare, f32x4.mul(c00, factor));
  v128.store(spare, f32x4.mul(c01, factor), 16);
  v128.store(spare, f32x4.mul(c10, factor), 32);
  v128.store(spare, f32x4.mul(c11, factor), 48);
  v128.store(spare, f32x4.mul(c20, factor), 64);
  v128.store(spare, f32x4.mul(c21, factor), 80);
  v128.store(spare, f32x4.mul(c30, factor), 96);
  v128.store(spare, f32x4.mul(c31, factor), 112);
  for (let i: usize = 0; i < rows; i++) {
    for (let j: usize = 0; j < columns; j++) {
      const at = out + ((i * stride + j) << 2);
      let value = load<f32>(spare + (((i << 3) + j) << 2));
      if (beta != 0) value += beta * load<f32>(at);
      store<f32>(at, value);
    }
  }
}

/** `out = alpha * op(a) @ op(b) + beta * out`, row-major, strides in elements. `scratch`: {@link gemmScratchBytes}. */
export function gemm(
  transposeA: i32, transposeB: i32, m: usize, n: usize, k: usize, alpha: f32, a: usize, strideA: usize, b: usize, strideB: usize,
  beta: f32, out: usize, strideOut: usize, scratch: usize,
): void {
  const packedA = scratch;
  const packedB = packedA + (((MC + 4) * KC) << 2);
  const spare = packedB + (((NC + 8) * KC) << 2);
  for (let n0: usize = 0; n0 < n; n0 += NC) {
    const columns = min(NC, n - n0);
    let k0: usize = 0;
    do {
      const depth = min(KC, k - k0);
      const blend: f32 = k0 == 0 ? beta : 1;
      packB(b, strideB, transposeB != 0, k0, n0, depth, columns, packedB);
      for (let m0: usize = 0; m0 < m; m0 += MC) {
        const rows = min(MC, m - m0);
        packA(a, strideA, transposeA != 0, m0, k0, rows, depth, packedA);
        for (let c: usize = 0; c < columns; c += 8) {
          for (let r: usize = 0; r < rows; r += 4) {
            tile(
              packedA + ((r * depth) << 2), packedB + ((c * depth) << 2), depth, out + (((m0 + r) * strideOut + n0 + c) << 2),
              strideOut, min<usize>(4, rows - r), min<usize>(8, columns - c), alpha, blend, spare,
            );
          }
        }
      }
      k0 += KC;
    } while (k0 < k);
  }
}

/** `out[j] = alpha * dot(b[j], x) + beta * out[j]` for the rows of `b`, `x` contiguous: one row against a transposed matrix. */
export function rowTimesTransposed(n: usize, k: usize, alpha: f32, x: usize, b: usize, strideB: usize, beta: f32, out: usize): void {
  const row = strideB << 2;
  for (let j: usize = 0; j < n; j++) {
    let value = alpha * dot(b + j * row, x, k);
    if (beta != 0) value += beta * load<f32>(out + (j << 2));
    store<f32>(out + (j << 2), value);
  }
}

/** `out += alpha * x @ b`, `x` with a stride: one row against a matrix. */
export function addRowTimesMatrix(n: usize, k: usize, alpha: f32, x: usize, strideX: usize, b: usize, strideB: usize, out: usize): void {
  const step = strideX << 2;
  const row = strideB << 2;
  let p: usize = 0;
  for (; p + 4 <= k; p += 4) {
    const at = x + p * step;
    axpy4(
      out, n, b + p * row, b + (p + 1) * row, b + (p + 2) * row, b + (p + 3) * row,
      alpha * load<f32>(at), alpha * load<f32>(at + step), alpha * load<f32>(at + 2 * step), alpha * load<f32>(at + 3 * step),
    );
  }
  for (; p < k; p++) axpy(out, n, b + p * row, alpha * load<f32>(x + p * step));
}

/** Sums of the lanes of four vectors, side by side. */
// @ts-expect-error AssemblyScript's decorator
@inline
function sumsOf(v0: v128, v1: v128, v2: v128, v3: v128): v128 {
  const t0 = f32x4.add(v128.shuffle<f32>(v0, v1, 0, 4, 1, 5), v128.shuffle<f32>(v0, v1, 2, 6, 3, 7));
  const t1 = f32x4.add(v128.shuffle<f32>(v2, v3, 0, 4, 1, 5), v128.shuffle<f32>(v2, v3, 2, 6, 3, 7));
  return f32x4.add(v128.shuffle<f64>(t0, t1, 0, 2), v128.shuffle<f64>(t0, t1, 1, 3));
}

/** alpha * v + beta * (what is at `out`), the first `count` lanes. */
// @ts-expect-error AssemblyScript's decorator
@inline
function putFirst(out: usize, v: v128, alpha: v128, beta: f32, count: usize): void {
  if (count >= 4) put(out, v, alpha, beta);
  else {
    v = f32x4.mul(v, alpha);
    if (beta != 0) {
      let old = v128.load32_zero(out);
      if (count > 1) old = v128.load_lane<u32>(out + 4, old, 1);
      if (count > 2) old = v128.load_lane<u32>(out + 8, old, 2);
      v = f32x4.add(v, f32x4.mul(f32x4.splat(beta), old));
    }
    storeFirst(out, v, count);
  }
}

/**
 * `out[i][j] = alpha * dot(a[i], b[j]) + beta * out[i][j]`: a few rows against a transposed matrix, which is read once and not
 * packed. Four rows of `b` meet two of `a` at a time; where there are fewer, the last one is taken again. Meanwhile the next four
 * are touched in the order in which they lie: processors fetch ahead along one stream, and hardly along four short ones.
 */
export function rowsTimesTransposed(
  m: usize, n: usize, k: usize, alpha: f32, a: usize, strideA: usize, b: usize, strideB: usize, beta: f32, out: usize, strideOut: usize,
): void {
  const factor = f32x4.splat(alpha);
  const stepB = strideB << 2;
  const whole = (k & ~3) << 2;
  const length = k << 2;
  for (let j: usize = 0; j < n; j += 4) {
    const columns = min<usize>(4, n - j);
    const b0 = b + j * stepB;
    const b1 = b0 + (columns > 1 ? stepB : 0);
    const b2 = b0 + (columns > 2 ? stepB << 1 : 0);
    const b3 = b0 + (columns > 3 ? 3 * stepB : 0);
    // Each turn reads 16 bytes of four rows; over all rows of `a`, as many bytes of what follows are touched.
    const touches = j + 8 <= n;
    let ahead = touches ? b0 + 4 * stepB : b0;
    const aheadStep: usize = touches ? 64 / ((m + 1) >> 1) : 0;
    for (let i: usize = 0; i < m; i += 2) {
      const rows = min<usize>(2, m - i);
      const x = a + ((i * strideA) << 2);
      // Relative to the first row: one counter instead of six.
      const dx = rows > 1 ? strideA << 2 : 0;
      const d0 = b0 - x;
      const d1 = b1 - x;
      const d2 = b2 - x;
      const d3 = b3 - x;
      let c00 = f32x4.splat(0);
      let c01 = c00, c02 = c00, c03 = c00, c10 = c00, c11 = c00, c12 = c00, c13 = c00;
      let p = x;
      const end = x + whole;
      while (p < end) {
        load<u8>(ahead);
        ahead += aheadStep;
        const x0 = v128.load(p);
        const x1 = v128.load(p + dx);
        let y = v128.load(p + d0);
        c00 = madd(x0, y, c00);
        c10 = madd(x1, y, c10);
        y = v128.load(p + d1);
        c01 = madd(x0, y, c01);
        c11 = madd(x1, y, c11);
        y = v128.load(p + d2);
        c02 = madd(x0, y, c02);
        c12 = madd(x1, y, c12);
        y = v128.load(p + d3);
        c03 = madd(x0, y, c03);
        c13 = madd(x1, y, c13);
        p += 16;
      }
      let sums0 = sumsOf(c00, c01, c02, c03);
      let sums1 = sumsOf(c10, c11, c12, c13);
      for (; p < x + length; p += 4) {
        let y = v128.load32_splat(p + d0);
        y = v128.load_lane<u32>(p + d1, y, 1);
        y = v128.load_lane<u32>(p + d2, y, 2);
        y = v128.load_lane<u32>(p + d3, y, 3);
        sums0 = madd(v128.load32_splat(p), y, sums0);
        sums1 = madd(v128.load32_splat(p + dx), y, sums1);
      }
      const at = out + ((i * strideOut + j) << 2);
      putFirst(at, sums0, factor, beta, columns);
      if (rows > 1) putFirst(at + (strideOut << 2), sums1, factor, beta, columns);
    }
  }
}
