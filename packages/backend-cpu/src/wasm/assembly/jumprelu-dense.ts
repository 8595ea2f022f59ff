// JumpReLU on dense matrices, for steps in which so many latents fire that matrix products beat sparse rows.

/** `out` = pre where it fires, else 0; `fired[i]` counts. Over the first `part` columns of rows that are `width` apart. */
export function jumpReluDense(
  pre: usize,
  threshold: usize,
  rows: usize,
  width: usize,
  part: usize,
  out: usize,
  fired: usize,
): void {
  const row = width << 2;
  const bytes = part << 2;
  for (let r: usize = 0; r < rows; r++) {
    let at: usize = 0;
    for (; at + 16 <= bytes; at += 16) {
      const x = v128.load(pre + at);
      const fires = f32x4.gt(x, v128.load(threshold + at));
      v128.store(out + at, v128.and(x, fires));
      // A lane that fires is all ones: minus 1.
      v128.store(fired + at, i32x4.sub(v128.load(fired + at), fires));
    }
    for (; at < bytes; at += 4) {
      const x = load<f32>(pre + at);
      const fires = x > load<f32>(threshold + at);
      store<f32>(out + at, fires ? x : 0);
      store<i32>(fired + at, load<i32>(fired + at) + (fires ? 1 : 0));
    }
    pre += row;
    out += row;
  }
}

/**
 * Over the first `part` columns of rows that are `width` apart. `dPre` may be `dValues`. `thresholdSums` are f64 [part], cleared
 * first; the caller adds them to dThreshold.
 */
export function jumpReluDenseGradient(
  pre: usize,
  threshold: usize,
  rows: usize,
  width: usize,
  part: usize,
  window: f32,
  bandwidth: f64,
  sparsity: f64,
  dValues: usize,
  dPre: usize,
  thresholdSums: usize,
): void {
  memory.fill(thresholdSums, 0, part << 3);
  const row = width << 2;
  const bytes = part << 2;
  const inverse = 1 / bandwidth;
  const half = f32x4.splat(window);
  for (let r: usize = 0; r < rows; r++) {
    let at: usize = 0;
    for (; at + 16 <= bytes; at += 16) {
      const x = v128.load(pre + at);
      const theta = v128.load(threshold + at);
      const gradient = v128.load(dValues + at);
      let inside = i32x4.bitmask(f32x4.lt(f32x4.abs(f32x4.sub(x, theta)), half));
      // Before dPre is written: it may be dValues.
      while (inside != 0) {
        const place = at + (<usize>ctz(inside) << 2);
        inside &= inside - 1;
        addDenseThreshold(place, threshold, dValues, sparsity, inverse, thresholdSums);
      }
      v128.store(dPre + at, v128.and(gradient, f32x4.gt(x, theta)));
    }
    for (; at < bytes; at += 4) {
      const x = load<f32>(pre + at);
      const theta = load<f32>(threshold + at);
      const gradient = load<f32>(dValues + at);
      if (abs(x - theta) < window)
        addDenseThreshold(at, threshold, dValues, sparsity, inverse, thresholdSums);
      store<f32>(dPre + at, x > theta ? gradient : 0);
    }
    pre += row;
    dValues += row;
    dPre += row;
  }
}

// @ts-expect-error AssemblyScript's decorator
@inline
function addDenseThreshold(
  at: usize,
  threshold: usize,
  dValues: usize,
  sparsity: f64,
  inverse: f64,
  sums: usize,
): void {
  const to = sums + (at << 1);
  const theta = <f64>load<f32>(threshold + at);
  store<f64>(to, load<f64>(to) - (theta * <f64>load<f32>(dValues + at) + sparsity) * inverse);
}
