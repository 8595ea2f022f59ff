// Adam and the constraints on unit-norm rows.

import { madd, storeFirst, sumLanes } from "./lanes";

/** Row dot product in f64 over groups of lanes; x and y may be the same. */
// @ts-expect-error AssemblyScript's decorator
@inline
function dotF64(x: usize, y: usize, count: usize): f64 {
  let s0 = f32x4.splat(0);
  let s1 = s0;
  let s2 = s0;
  let s3 = s0;
  const end = x + (count << 2);
  while (x + 64 <= end) {
    s0 = madd(v128.load(x), v128.load(y), s0);
    s1 = madd(v128.load(x, 16), v128.load(y, 16), s1);
    s2 = madd(v128.load(x, 32), v128.load(y, 32), s2);
    s3 = madd(v128.load(x, 48), v128.load(y, 48), s3);
    x += 64;
    y += 64;
  }
  let total = <f64>sumLanes(f32x4.add(f32x4.add(s0, s1), f32x4.add(s2, s3)));
  while (x < end) {
    total += <f64>load<f32>(x) * <f64>load<f32>(y);
    x += 4;
    y += 4;
  }
  return total;
}

// @ts-expect-error AssemblyScript's decorator
@inline
function step(p: v128, m: v128, v: v128, decay: v128, size: v128, root: v128, epsilon: v128): v128 {
  const denominator = madd(f32x4.sqrt(v), root, epsilon);
  return f32x4.sub(f32x4.mul(p, decay), f32x4.div(f32x4.mul(m, size), denominator));
}

/**
 * One fused Adam update. The host folds the bias corrections in: `size` = learning rate / (1 - beta1^step), `root` =
 * 1 / sqrt(1 - beta2^step), `decay` = 1 - learning rate * weight decay.
 */
export function adam(
  parameter: usize, gradient: usize, first: usize, second: usize, count: usize,
  beta1: f32, oneLessBeta1: f32, beta2: f32, oneLessBeta2: f32, size: f32, root: f32, epsilon: f32, decay: f32,
): void {
  const b1 = f32x4.splat(beta1);
  const c1 = f32x4.splat(oneLessBeta1);
  const b2 = f32x4.splat(beta2);
  const c2 = f32x4.splat(oneLessBeta2);
  const sizes = f32x4.splat(size);
  const roots = f32x4.splat(root);
  const epsilons = f32x4.splat(epsilon);
  const decays = f32x4.splat(decay);
  const rest = count & 3;
  const end = (count & ~3) << 2;
  for (let i: usize = 0; i < end; i += 16) {
    const g = v128.load(gradient + i);
    const m = madd(g, c1, f32x4.mul(v128.load(first + i), b1));
    const v = madd(f32x4.mul(g, g), c2, f32x4.mul(v128.load(second + i), b2));
    v128.store(first + i, m);
    v128.store(second + i, v);
    v128.store(parameter + i, step(v128.load(parameter + i), m, v, decays, sizes, roots, epsilons));
  }
  if (rest) {
    const g = v128.load(gradient + end);
    const m = madd(g, c1, f32x4.mul(v128.load(first + end), b1));
    const v = madd(f32x4.mul(g, g), c2, f32x4.mul(v128.load(second + end), b2));
    storeFirst(first + end, m, rest);
    storeFirst(second + end, v, rest);
    storeFirst(parameter + end, step(v128.load(parameter + end), m, v, decays, sizes, roots, epsilons), rest);
  }
}

/** {@link adam} with beta1 = 0: the gradient stands for the first moment, which need not exist. */
export function adamWithoutMomentum(
  parameter: usize, gradient: usize, second: usize, count: usize,
  beta2: f32, oneLessBeta2: f32, size: f32, root: f32, epsilon: f32, decay: f32,
): void {
  const b2 = f32x4.splat(beta2);
  const c2 = f32x4.splat(oneLessBeta2);
  const sizes = f32x4.splat(size);
  const roots = f32x4.splat(root);
  const epsilons = f32x4.splat(epsilon);
  const decays = f32x4.splat(decay);
  const rest = count & 3;
  const end = (count & ~3) << 2;
  for (let i: usize = 0; i < end; i += 16) {
    const g = v128.load(gradient + i);
    const v = madd(f32x4.mul(g, g), c2, f32x4.mul(v128.load(second + i), b2));
    v128.store(second + i, v);
    v128.store(parameter + i, step(v128.load(parameter + i), g, v, decays, sizes, roots, epsilons));
  }
  if (rest) {
    const g = v128.load(gradient + end);
    const v = madd(f32x4.mul(g, g), c2, f32x4.mul(v128.load(second + end), b2));
    storeFirst(second + end, v, rest);
    storeFirst(parameter + end, step(v128.load(parameter + end), g, v, decays, sizes, roots, epsilons), rest);
  }
}

/** Divides each row by its L2 norm; rows of norm 0 stay. */
export function normalizeRows(x: usize, rows: usize, columns: usize): void {
  for (let r: usize = 0; r < rows; r++) {
    const norm = Math.sqrt(dotF64(x, x, columns));
    if (norm > 0) {
      const factor = f32x4.splat(<f32>(1 / norm));
      let i: usize = 0;
      for (; i + 4 <= columns; i += 4) v128.store(x + (i << 2), f32x4.mul(v128.load(x + (i << 2)), factor));
      if (i < columns) storeFirst(x + (i << 2), f32x4.mul(v128.load(x + (i << 2)), factor), columns - i);
    }
    x += columns << 2;
  }
}

/** `gradient[r] -= (gradient[r] . u) u` with u the unit vector along `weight[r]`; rows of norm 0 stay. */
export function removeParallelRows(gradient: usize, weight: usize, rows: usize, columns: usize): void {
  for (let r: usize = 0; r < rows; r++) {
    const square = dotF64(weight, weight, columns);
    if (square != 0) {
      const factor = f32x4.splat(<f32>(-dotF64(gradient, weight, columns) / square));
      let i: usize = 0;
      for (; i + 4 <= columns; i += 4) {
        v128.store(gradient + (i << 2), madd(factor, v128.load(weight + (i << 2)), v128.load(gradient + (i << 2))));
      }
      if (i < columns) {
        storeFirst(gradient + (i << 2), madd(factor, v128.load(weight + (i << 2)), v128.load(gradient + (i << 2))), columns - i);
      }
    }
    gradient += columns << 2;
    weight += columns << 2;
  }
}
