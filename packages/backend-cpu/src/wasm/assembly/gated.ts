// Gated activations: activation(gate) * up, and its gradients.

import { storeFirst } from "./lanes";
import { activation4, activationSlope4, GELU, GELU_TANH, SILU } from "./math/normal";

// @ts-expect-error AssemblyScript's decorator
@inline
function product(activation: i32, gate: usize, up: usize, out: usize, count: usize): void {
  const pairs = out + ((count & ~7) << 2);
  while (out < pairs) {
    const first = f32x4.mul(activation4(activation, v128.load(gate)), v128.load(up));
    const second = f32x4.mul(activation4(activation, v128.load(gate, 16)), v128.load(up, 16));
    v128.store(out, first);
    v128.store(out, second, 16);
    out += 32;
    gate += 32;
    up += 32;
  }
  if (count & 4) {
    v128.store(out, f32x4.mul(activation4(activation, v128.load(gate)), v128.load(up)));
    out += 16;
    gate += 16;
    up += 16;
  }
  if (count & 3) storeFirst(out, f32x4.mul(activation4(activation, v128.load(gate)), v128.load(up)), count & 3);
}

/** Either result may be missing (address 0). */
// @ts-expect-error AssemblyScript's decorator
@inline
function gradients(activation: i32, gate: usize, up: usize, d: usize, dGate: usize, dUp: usize, count: usize): void {
  for (let i: usize = 0; i < count; i += 4) {
    const at = i << 2;
    const x = v128.load(gate + at);
    const gradient = v128.load(d + at);
    const rest = count - i;
    if (dGate != 0) {
      const value = f32x4.mul(f32x4.mul(gradient, v128.load(up + at)), activationSlope4(activation, x));
      if (rest >= 4) v128.store(dGate + at, value);
      else storeFirst(dGate + at, value, rest);
    }
    if (dUp != 0) {
      const value = f32x4.mul(gradient, activation4(activation, x));
      if (rest >= 4) v128.store(dUp + at, value);
      else storeFirst(dUp + at, value, rest);
    }
  }
}

/** `activation` as in the order of `GatedActivation` in the backend contract. */
export function gatedMul(activation: i32, gate: usize, up: usize, out: usize, count: usize): void {
  if (activation == GELU) product(GELU, gate, up, out, count);
  else if (activation == GELU_TANH) product(GELU_TANH, gate, up, out, count);
  else product(SILU, gate, up, out, count);
}

export function gatedMulGradient(
  activation: i32, gate: usize, up: usize, d: usize, dGate: usize, dUp: usize, count: usize,
): void {
  if (activation == GELU) gradients(GELU, gate, up, d, dGate, dUp, count);
  else if (activation == GELU_TANH) gradients(GELU_TANH, gate, up, d, dGate, dUp, count);
  else gradients(SILU, gate, up, d, dGate, dUp, count);
}
