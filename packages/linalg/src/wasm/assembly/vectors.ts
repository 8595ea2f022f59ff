// Loops over contiguous f64, two lanes at a time. Addresses in bytes, lengths in elements.

/** Sum of x[i] * y[i]: four chains of two lanes. */
export function dot(x: usize, y: usize, length: usize): f64 {
  let s0 = f64x2.splat(0);
  let s1 = s0, s2 = s0, s3 = s0;
  const end = x + (length << 3);
  const d = y - x;
  for (; x + 64 <= end; x += 64) {
    s0 = f64x2.add(s0, f64x2.mul(v128.load(x), v128.load(x + d)));
    s1 = f64x2.add(s1, f64x2.mul(v128.load(x, 16), v128.load(x + d, 16)));
    s2 = f64x2.add(s2, f64x2.mul(v128.load(x, 32), v128.load(x + d, 32)));
    s3 = f64x2.add(s3, f64x2.mul(v128.load(x, 48), v128.load(x + d, 48)));
  }
  const s = f64x2.add(f64x2.add(s0, s2), f64x2.add(s1, s3));
  let total = f64x2.extract_lane(s, 0) + f64x2.extract_lane(s, 1);
  for (; x < end; x += 8) total += load<f64>(x) * load<f64>(x + d);
  return total;
}

/** y[i] += factor * x[i]. */
export function addScaled(y: usize, x: usize, factor: f64, length: usize): void {
  const f = f64x2.splat(factor);
  const end = y + (length << 3);
  const d = x - y;
  for (; y + 32 <= end; y += 32) {
    v128.store(y, f64x2.add(v128.load(y), f64x2.mul(f, v128.load(y + d))));
    v128.store(y, f64x2.add(v128.load(y, 16), f64x2.mul(f, v128.load(y + d, 16))), 16);
  }
  for (; y < end; y += 8) store<f64>(y, load<f64>(y) + factor * load<f64>(y + d));
}

/** (x, y) <- (c x - s y, s x + c y). */
export function rotate(x: usize, y: usize, c: f64, s: f64, length: usize): void {
  const vc = f64x2.splat(c);
  const vs = f64x2.splat(s);
  const end = x + (length << 3);
  const d = y - x;
  for (; x + 16 <= end; x += 16) {
    const a = v128.load(x);
    const b = v128.load(x + d);
    v128.store(x, f64x2.sub(f64x2.mul(vc, a), f64x2.mul(vs, b)));
    v128.store(x + d, f64x2.add(f64x2.mul(vs, a), f64x2.mul(vc, b)));
  }
  for (; x < end; x += 8) {
    const a = load<f64>(x);
    const b = load<f64>(x + d);
    store<f64>(x, c * a - s * b);
    store<f64>(x + d, s * a + c * b);
  }
}

/** For `count` rows of `target`, `stride` elements apart: row -= factor (v . row) v. */
export function reflectRows(v: usize, factor: f64, target: usize, stride: usize, count: usize, length: usize): void {
  for (; count > 0; count--) {
    addScaled(target, v, -factor * dot(v, target, length), length);
    target += stride << 3;
  }
}

/**
 * Rotations of neighbouring rows i, i + 1 of a matrix with rows of `stride` elements, in order, on `length` columns from
 * `matrix` on: `rows` i32, `cosines` and `sines` f64.
 */
export function rotateRows(
  matrix: usize, stride: usize, rows: usize, cosines: usize, sines: usize, count: usize, length: usize,
): void {
  for (let each: usize = 0; each < count; each++) {
    const at = matrix + ((<usize>load<i32>(rows + (each << 2)) * stride) << 3);
    rotate(at, at + (stride << 3), load<f64>(cosines + (each << 3)), load<f64>(sines + (each << 3)), length);
  }
}

/**
 * One step of Householder tridiagonalisation on the lower triangle of `work [n, n]`, from row and column `k` + 1 on: with the
 * reflector v in place, `p = factor A v`, `w = p - (factor / 2) (p . v) v`, `A -= v w^T + w v^T`.
 */
export function tridiagonalStep(work: usize, n: usize, k: usize, v: usize, p: usize, factor: f64): void {
  const first = k + 1;
  const size = n - first;
  memory.fill(p, 0, size << 3);
  for (let i: usize = 0; i < size; i++) {
    const row = work + (((first + i) * n + first) << 3);
    const vi = load<f64>(v + (i << 3));
    const sum = dot(row, v, i);
    addScaled(p, row, vi, i);
    store<f64>(p + (i << 3), load<f64>(p + (i << 3)) + sum + load<f64>(row + (i << 3)) * vi);
  }
  for (let i: usize = 0; i < size; i++) store<f64>(p + (i << 3), factor * load<f64>(p + (i << 3)));
  addScaled(p, v, -0.5 * factor * dot(p, v, size), size);
  for (let i: usize = 0; i < size; i++) {
    const row = work + (((first + i) * n + first) << 3);
    addScaled(row, p, -load<f64>(v + (i << 3)), i + 1);
    addScaled(row, v, -load<f64>(p + (i << 3)), i + 1);
  }
}

/** out[i, j] = a_i . b_j for rows of `a [m, k]` and `b [n, k]`; blocks of b's rows stay in the second cache. */
export function multiplyTransposed(a: usize, b: usize, m: usize, n: usize, k: usize, out: usize): void {
  const block: usize = 32;
  for (let j0: usize = 0; j0 < n; j0 += block) {
    const jEnd = min(n, j0 + block);
    for (let i: usize = 0; i < m; i++) {
      for (let j = j0; j < jEnd; j++)
        store<f64>(out + ((i * n + j) << 3), dot(a + ((i * k) << 3), b + ((j * k) << 3), k));
    }
  }
}

/** One sweep of one-sided Jacobi over all pairs of rows of `rows [n, n]`, turning `turns` alike; how many pairs were turned. */
export function jacobiSweep(rows: usize, turns: usize, squares: usize, n: usize, orthogonal: f64): i32 {
  const stride = n << 3;
  let turned = 0;
  for (let i: usize = 0; i < n; i++) store<f64>(squares + (i << 3), dot(rows + i * stride, rows + i * stride, n));
  for (let i: usize = 0; i + 1 < n; i++) {
    const x = rows + i * stride;
    for (let j = i + 1; j < n; j++) {
      const y = rows + j * stride;
      const product = dot(x, y, n);
      const own = load<f64>(squares + (i << 3));
      const other = load<f64>(squares + (j << 3));
      if (product == 0 || abs(product) <= orthogonal * sqrt(own * other)) continue;
      const zeta = (other - own) / (2 * product);
      const tangent = (zeta >= 0 ? 1.0 : -1.0) / (abs(zeta) + sqrt(1 + zeta * zeta));
      const cosine = 1 / sqrt(1 + tangent * tangent);
      const sine = cosine * tangent;
      rotate(x, y, cosine, sine, n);
      rotate(turns + i * stride, turns + j * stride, cosine, sine, n);
      store<f64>(squares + (i << 3), max(0, own - tangent * product));
      store<f64>(squares + (j << 3), max(0, other + tangent * product));
      turned++;
    }
  }
  return turned;
}
