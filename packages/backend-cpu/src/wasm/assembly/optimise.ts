// Fused updates of the optimisers.

import { madd, storeFirst } from "./lanes";

// @ts-expect-error AssemblyScript's decorator
@inline
function step(p: v128, m: v128, v: v128, decay: v128, size: v128, root: v128, epsilon: v128): v128 {
  const denominator = madd(f32x4.sqrt(v), root, epsilon);
  return f32x4.sub(f32x4.mul(p, decay), f32x4.div(f32x4.mul(m, size), denominator));
}

/** The number at an address, 1 for address 0. */
// @ts-expect-error AssemblyScript's decorator
@inline
function scaleAt(scale: usize): f32 {
  return scale == 0 ? 1 : load<f32>(scale);
}

/**
 * One fused Adam update. The host folds the bias corrections in: `size` = learning rate / (1 - beta1^step), `root` =
 * 1 / sqrt(1 - beta2^step), `decay` = 1 - learning rate * weight decay. The gradient is `scale` (an address; 0 for 1) times the
 * one given plus `l2` times the parameter; where the scale is NaN nothing happens.
 */
export function adam(
  parameter: usize, gradient: usize, first: usize, second: usize, count: usize, scale: usize,
  beta1: f32, oneLessBeta1: f32, beta2: f32, oneLessBeta2: f32, size: f32, root: f32, epsilon: f32, decay: f32, l2: f32,
): void {
  const factor = scaleAt(scale);
  if (factor != factor) return;
  const factors = f32x4.splat(factor);
  const l2s = f32x4.splat(l2);
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
  let i: usize = 0;
  // A cache line of each stream in one turn.
  for (; i + 64 <= end; i += 64) {
    const p0 = v128.load(parameter + i);
    const g0 = madd(p0, l2s, f32x4.mul(v128.load(gradient + i), factors));
    const m0 = madd(g0, c1, f32x4.mul(v128.load(first + i), b1));
    const v0 = madd(f32x4.mul(g0, g0), c2, f32x4.mul(v128.load(second + i), b2));
    v128.store(first + i, m0);
    v128.store(second + i, v0);
    v128.store(parameter + i, step(p0, m0, v0, decays, sizes, roots, epsilons));
    const p1 = v128.load(parameter + i, 16);
    const g1 = madd(p1, l2s, f32x4.mul(v128.load(gradient + i, 16), factors));
    const m1 = madd(g1, c1, f32x4.mul(v128.load(first + i, 16), b1));
    const v1 = madd(f32x4.mul(g1, g1), c2, f32x4.mul(v128.load(second + i, 16), b2));
    v128.store(first + i, m1, 16);
    v128.store(second + i, v1, 16);
    v128.store(parameter + i, step(p1, m1, v1, decays, sizes, roots, epsilons), 16);
    const p2 = v128.load(parameter + i, 32);
    const g2 = madd(p2, l2s, f32x4.mul(v128.load(gradient + i, 32), factors));
    const m2 = madd(g2, c1, f32x4.mul(v128.load(first + i, 32), b1));
    const v2 = madd(f32x4.mul(g2, g2), c2, f32x4.mul(v128.load(second + i, 32), b2));
    v128.store(first + i, m2, 32);
    v128.store(second + i, v2, 32);
    v128.store(parameter + i, step(p2, m2, v2, decays, sizes, roots, epsilons), 32);
    const p3 = v128.load(parameter + i, 48);
    const g3 = madd(p3, l2s, f32x4.mul(v128.load(gradient + i, 48), factors));
    const m3 = madd(g3, c1, f32x4.mul(v128.load(first + i, 48), b1));
    const v3 = madd(f32x4.mul(g3, g3), c2, f32x4.mul(v128.load(second + i, 48), b2));
    v128.store(first + i, m3, 48);
    v128.store(second + i, v3, 48);
    v128.store(parameter + i, step(p3, m3, v3, decays, sizes, roots, epsilons), 48);
  }
  for (; i < end; i += 16) {
    const p = v128.load(parameter + i);
    const g = madd(p, l2s, f32x4.mul(v128.load(gradient + i), factors));
    const m = madd(g, c1, f32x4.mul(v128.load(first + i), b1));
    const v = madd(f32x4.mul(g, g), c2, f32x4.mul(v128.load(second + i), b2));
    v128.store(first + i, m);
    v128.store(second + i, v);
    v128.store(parameter + i, step(p, m, v, decays, sizes, roots, epsilons));
  }
  if (rest) {
    const p = v128.load(parameter + end);
    const g = madd(p, l2s, f32x4.mul(v128.load(gradient + end), factors));
    const m = madd(g, c1, f32x4.mul(v128.load(first + end), b1));
    const v = madd(f32x4.mul(g, g), c2, f32x4.mul(v128.load(second + end), b2));
    storeFirst(first + end, m, rest);
    storeFirst(second + end, v, rest);
    storeFirst(parameter + end, step(p, m, v, decays, sizes, roots, epsilons), rest);
  }
}

/** {@link adam} with beta1 = 0: the gradient stands for the first moment, which need not exist. */
export function adamWithoutMomentum(
  parameter: usize, gradient: usize, second: usize, count: usize, scale: usize,
  beta2: f32, oneLessBeta2: f32, size: f32, root: f32, epsilon: f32, decay: f32, l2: f32,
): void {
  const factor = scaleAt(scale);
  if (factor != factor) return;
  const factors = f32x4.splat(factor);
  const l2s = f32x4.splat(l2);
  const b2 = f32x4.splat(beta2);
  const c2 = f32x4.splat(oneLessBeta2);
  const sizes = f32x4.splat(size);
  const roots = f32x4.splat(root);
  const epsilons = f32x4.splat(epsilon);
  const decays = f32x4.splat(decay);
  const rest = count & 3;
  const end = (count & ~3) << 2;
  for (let i: usize = 0; i < end; i += 16) {
    const p = v128.load(parameter + i);
    const g = madd(p, l2s, f32x4.mul(v128.load(gradient + i), factors));
    const v = madd(f32x4.mul(g, g), c2, f32x4.mul(v128.load(second + i), b2));
    v128.store(second + i, v);
    v128.store(parameter + i, step(p, g, v, decays, sizes, roots, epsilons));
  }
  if (rest) {
    const p = v128.load(parameter + end);
    const g = madd(p, l2s, f32x4.mul(v128.load(gradient + end), factors));
    const v = madd(f32x4.mul(g, g), c2, f32x4.mul(v128.load(second + end), b2));
    storeFirst(second + end, v, rest);
    storeFirst(parameter + end, step(p, g, v, decays, sizes, roots, epsilons), rest);
  }
}

/**
 * Stochastic gradient descent: `g = scale gradient + l2 p; v = momentum v + g; p -= learningRate (nesterov ? g + momentum v : v)`.
 * `velocity` is 0 where there is no momentum, `scale` an address or 0 for 1; where it is NaN nothing happens.
 */
export function sgd(
  parameter: usize, gradient: usize, velocity: usize, count: usize, scale: usize,
  learningRate: f32, momentum: f32, nesterov: bool, l2: f32,
): void {
  const factor = scaleAt(scale);
  if (factor != factor) return;
  const factors = f32x4.splat(factor);
  const l2s = f32x4.splat(l2);
  const momenta = f32x4.splat(momentum);
  const negative = f32x4.splat(-learningRate);
  const rest = count & 3;
  const end = (count & ~3) << 2;
  for (let i: usize = 0; i < end; i += 16) {
    const p = v128.load(parameter + i);
    const g = madd(p, l2s, f32x4.mul(v128.load(gradient + i), factors));
    let direction = g;
    if (velocity) {
      const v = madd(v128.load(velocity + i), momenta, g);
      v128.store(velocity + i, v);
      direction = nesterov ? madd(v, momenta, g) : v;
    }
    v128.store(parameter + i, madd(direction, negative, p));
  }
  if (rest) {
    const p = v128.load(parameter + end);
    const g = madd(p, l2s, f32x4.mul(v128.load(gradient + end), factors));
    let direction = g;
    if (velocity) {
      const v = madd(v128.load(velocity + end), momenta, g);
      storeFirst(velocity + end, v, rest);
      direction = nesterov ? madd(v, momenta, g) : v;
    }
    storeFirst(parameter + end, madd(direction, negative, p), rest);
  }
}
