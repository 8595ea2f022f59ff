// Running sums, in f64.

/** Along each of `rows` rows. */
export function cumsumRows(x: usize, rows: usize, columns: usize, reverse: i32, exclusive: i32, out: usize): void {
  const step: usize = reverse ? <usize>-4 : 4;
  for (let r: usize = 0; r < rows; r++) {
    let at: usize = reverse ? (columns - 1) << 2 : 0;
    let sum: f64 = 0;
    for (let c: usize = 0; c < columns; c++) {
      const before = sum;
      sum += <f64>load<f32>(x + at);
      store<f32>(out + at, <f32>(exclusive ? before : sum));
      at += step;
    }
    x += columns << 2;
    out += columns << 2;
  }
}

/** Down `axis` rows of `inner` elements, of which the columns `0 .. width` are summed; `sums` holds `width` f64. */
export function cumsumColumns(
  x: usize, axis: usize, inner: usize, width: usize, reverse: i32, exclusive: i32, out: usize, sums: usize,
): void {
  memory.fill(sums, 0, width << 3);
  const step = inner << 2;
  let row: usize = reverse ? (axis - 1) * step : 0;
  for (let a: usize = 0; a < axis; a++) {
    let i: usize = 0;
    for (; i + 4 <= width; i += 4) {
      const total = sums + (i << 3);
      const v = v128.load(x + row + (i << 2));
      const low = v128.load(total);
      const high = v128.load(total, 16);
      const nextLow = f64x2.add(low, f64x2.promote_low_f32x4(v));
      const nextHigh = f64x2.add(high, f64x2.promote_low_f32x4(v128.shuffle<f32>(v, v, 2, 3, 2, 3)));
      v128.store(total, nextLow);
      v128.store(total, nextHigh, 16);
      const a32 = f32x4.demote_f64x2_zero(exclusive ? low : nextLow);
      const b32 = f32x4.demote_f64x2_zero(exclusive ? high : nextHigh);
      v128.store(out + row + (i << 2), v128.shuffle<f64>(a32, b32, 0, 2));
    }
    for (; i < width; i++) {
      const total = sums + (i << 3);
      const before = load<f64>(total);
      const after = before + <f64>load<f32>(x + row + (i << 2));
      store<f64>(total, after);
      store<f32>(out + row + (i << 2), <f32>(exclusive ? before : after));
    }
    row += reverse ? <usize>0 - step : step;
  }
}
