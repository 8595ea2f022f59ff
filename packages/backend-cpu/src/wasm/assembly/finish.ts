// What follows a matrix product while its block is in the cache: bias and activation.

import { geluMap, geluTanhMap, reluMap, siluMap } from "./elementwise";

/** `out[i] = activation(out[i] + bias)` for rows `stride` apart; `bias` 0 for none; activation 0 none, 1 gelu, 2 geluTanh, 3 relu, 4 silu. */
export function finishRows(out: usize, stride: usize, rows: usize, columns: usize, bias: usize, activation: i32): void {
  for (let r: usize = 0; r < rows; r++) {
    if (bias != 0) addRow(out, bias, columns);
    if (activation == 1) geluMap(out, out, columns);
    else if (activation == 2) geluTanhMap(out, out, columns);
    else if (activation == 3) reluMap(out, out, columns);
    else if (activation == 4) siluMap(out, out, columns);
    out += stride << 2;
  }
}

/** `out[i] += x[i]`. */
// @ts-expect-error AssemblyScript's decorator
@inline
function addRow(out: usize, x: usize, count: usize): void {
  const end = out + (count << 2);
  while (out + 16 <= end) {
    v128.store(out, f32x4.add(v128.load(out), v128.load(x)));
    out += 16;
    x += 16;
  }
  while (out < end) {
    store<f32>(out, load<f32>(out) + load<f32>(x));
    out += 4;
    x += 4;
  }
}
