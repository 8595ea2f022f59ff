import type { Library } from "./library.ts";

/** The normal distribution, the activations and their derivatives. NaN stays NaN; the limits at infinity are exact. */
export const activations: Library = {
  // Phi(-z) e^(z^2/2) for z from 0 to 14.5: t q(t), t = 1 / (1 + 0.34375 z), q minimax of degree 8 (3e-8 relative).
  tail_ratio: /* wgsl */ `
fn tail_ratio(z: f32) -> f32 {
  let t = 1.0 / (z * 0.34375 + 1.0);
  var q = t * -0.02758234366774559 + 0.1428045928478241;
  q = q * t - 0.2696817219257355;
  q = q * t + 0.1887444704771042;
  q = q * t - 0.03790852054953575;
  q = q * t + 0.11210761219263077;
  q = q * t + 0.11686955392360687;
  q = q * t + 0.13752582669258118;
  return t * (q * t + 0.1371205449104309);
}`,
  bell: /* wgsl */ `
fn bell(z: f32) -> f32 { return exp_of(z * z * -0.5); }`,
  // Odd polynomial (minimax, 1e-9 relative) below 1, else 1 less twice the normal distribution's tail.
  erf_of: /* wgsl */ `
fn erf_of(x: f32) -> f32 {
  if (is_nan(x)) { return x; }
  let size = abs(x);
  if (size <= 1.0) {
    let z = x * x;
    var q = z * 7.853861461626366e-5 - 8.010193705558777e-4;
    q = q * z + 5.188327748328447e-3;
    q = q * z - 2.6853812858462334e-2;
    q = q * z + 1.128358542919159e-1;
    q = q * z - 3.761262595653534e-1;
    return (q * z + 1.1283791065216064) * x;
  }
  let z = min(size * 1.4142135623730951, 13.1);
  let large = 1.0 - 2.0 * bell(z) * tail_ratio(z);
  return select(large, -large, x < 0.0);
}`,
  // 2 / sqrt(pi) e^(-x^2)
  erf_slope: /* wgsl */ `
fn erf_slope(x: f32) -> f32 {
  let z = min(abs(x), 9.3);
  return exp_of(-(z * z)) * 1.1283791670955126;
}`,
  // x Phi(x) = max(x, 0) - |x| Phi(-|x|): nothing cancels.
  gelu_of: /* wgsl */ `
fn gelu_of(x: f32) -> f32 {
  if (is_nan(x)) { return x; }
  let z = min(abs(x), 13.1);
  return max(x, 0.0) - z * bell(z) * tail_ratio(z);
}`,
  gelu_slope: /* wgsl */ `
fn gelu_slope(x: f32) -> f32 {
  if (is_nan(x)) { return x; }
  let z = min(abs(x), 13.1);
  let height = bell(z);
  let below = height * tail_ratio(z) - z * height * 0.39894228040143268;
  return select(1.0 - below, below, x < 0.0);
}`,
  // x sigmoid(2 sqrt(2 / pi) (x + 0.044715 x^3)), which is (1 + tanh) / 2 without cancellation.
  gelu_tanh_of: /* wgsl */ `
fn gelu_tanh_of(x: f32) -> f32 {
  if (is_nan(x)) { return x; }
  let low = max(x, -10.0);
  if (x > 20.0) { return x; }
  return low * sigmoid_of(low * (low * low * 0.07135481627260025 + 1.5957691216057308));
}`,
  gelu_tanh_slope: /* wgsl */ `
fn gelu_tanh_slope(x: f32) -> f32 {
  if (is_nan(x)) { return x; }
  let z = clamp(x, -10.0, 10.0);
  let inner = z * (z * z * 0.07135481627260025 + 1.5957691216057308);
  let s = sigmoid_of(inner);
  let rest = sigmoid_of(-inner);
  return (z * z * 0.21406444881780073 + 1.5957691216057308) * z * s * rest + s;
}`,
  silu_of: /* wgsl */ `
fn silu_of(x: f32) -> f32 {
  if (is_nan(x)) { return x; }
  let low = max(x, -88.0);
  return low * sigmoid_of(low);
}`,
  silu_slope: /* wgsl */ `
fn silu_slope(x: f32) -> f32 {
  if (is_nan(x)) { return x; }
  let z = clamp(x, -88.0, 88.0);
  let s = sigmoid_of(z);
  return z * s * sigmoid_of(-z) + s;
}`,
  relu_of: /* wgsl */ `
fn relu_of(x: f32) -> f32 {
  if (is_nan(x)) { return x; }
  return max(x, 0.0);
}`,
};
