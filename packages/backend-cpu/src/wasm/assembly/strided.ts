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

/** The reverse: `x` [n0, n1, n2, n3] contiguous into `out` by strides in bytes. */
export function scatter(
  x: usize, out: usize, size: usize, n0: usize, n1: usize, n2: usize, n3: usize, s0: usize, s1: usize, s2: usize, s3: usize,
): void {
  const row = n3 * size;
  for (let i: usize = 0; i < n0; i++) {
    for (let j: usize = 0; j < n1; j++) {
      let to = out + i * s0 + j * s1;
      for (let k: usize = 0; k < n2; k++) {
        if (s3 == size) {
          memory.copy(to, x, row);
          x += row;
        } else {
          let at = to;
          for (const end = x + row; x < end; x += size) {
            element(x, at, size);
            at += s3;
          }
        }
        to += s2;
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
