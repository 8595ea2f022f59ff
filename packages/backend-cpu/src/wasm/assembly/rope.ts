// Rotary embedding.

// @ts-expect-error AssemblyScript's decorator
@inline
function turn(a: usize, b: usize, toA: usize, toB: usize, c: f32, s: f32): void {
  const first = load<f32>(a);
  const second = load<f32>(b);
  store<f32>(toA, first * c - second * s);
  store<f32>(toB, second * c + first * s);
}

/**
 * Each pair (a, b) of a head's first 2 * half features becomes (a cos - b sin, b cos + a sin); the others are copied. Pairs are
 * neighbours where `interleaved`, else (i, i + half). `sign` is that of the sines. Rows beyond `positions` give NaN. `out` may
 * be `x`.
 */
export function rope(
  x: usize, cos: usize, sin: usize, picks: usize, tokens: usize, heads: usize, dHead: usize, half: usize,
  positions: i32, interleaved: i32, sign: f32, out: usize,
): void {
  const signs = f32x4.splat(sign);
  const rest = (dHead - (half << 1)) << 2;
  for (let t: usize = 0; t < tokens; t++) {
    const pick = load<i32>(picks + (t << 2));
    const known = <u32>pick < <u32>positions;
    const row = known ? (<usize>pick * half) << 2 : 0;
    for (let h: usize = 0; h < heads; h++) {
      if (!known) {
        for (let i: usize = 0; i < half << 1; i++) store<f32>(out + (i << 2), NaN);
      } else if (interleaved) {
        let i: usize = 0;
        for (; i + 4 <= half; i += 4) {
          const at = i << 3;
          const low = v128.load(x + at);
          const high = v128.load(x + at, 16);
          const a = v128.shuffle<f32>(low, high, 0, 2, 4, 6);
          const b = v128.shuffle<f32>(low, high, 1, 3, 5, 7);
          const c = v128.load(cos + row + (i << 2));
          const s = f32x4.mul(v128.load(sin + row + (i << 2)), signs);
          const first = f32x4.sub(f32x4.mul(a, c), f32x4.mul(b, s));
          const second = f32x4.add(f32x4.mul(b, c), f32x4.mul(a, s));
          v128.store(out + at, v128.shuffle<f32>(first, second, 0, 4, 1, 5));
          v128.store(out + at, v128.shuffle<f32>(first, second, 2, 6, 3, 7), 16);
        }
        for (; i < half; i++) {
          const at = i << 3;
          const c = load<f32>(cos + row + (i << 2));
          const s = load<f32>(sin + row + (i << 2)) * sign;
          turn(x + at, x + at + 4, out + at, out + at + 4, c, s);
        }
      } else {
        const other = x + (half << 2);
        const toOther = out + (half << 2);
        let i: usize = 0;
        for (; i + 4 <= half; i += 4) {
          const at = i << 2;
          const a = v128.load(x + at);
          const b = v128.load(other + at);
          const c = v128.load(cos + row + at);
          const s = f32x4.mul(v128.load(sin + row + at), signs);
          v128.store(out + at, f32x4.sub(f32x4.mul(a, c), f32x4.mul(b, s)));
          v128.store(toOther + at, f32x4.add(f32x4.mul(b, c), f32x4.mul(a, s)));
        }
        for (; i < half; i++) {
          const at = i << 2;
          const c = load<f32>(cos + row + at);
          const s = load<f32>(sin + row + at) * sign;
          turn(x + at, other + at, out + at, toOther + at, c, s);
        }
      }
      if (rest != 0 && out != x) memory.copy(out + (half << 3), x + (half << 3), rest);
      x += dHead << 2;
      out += dHead << 2;
    }
  }
}
