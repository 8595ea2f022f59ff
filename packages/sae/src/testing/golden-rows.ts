/** Park and Miller's generator, whose products fit f64: the same numbers in every language. */
function uniforms(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
}

/**
 * Planted rows `[count, width]` as oracles/sae/architectures_more.py makes them, so that its golden need not hold them: ten features fire
 * with p = 0.2; columns from `gain[0]` on are `gain[1]` times as large. In thousandths.
 */
export function goldenRows(
  seed: number,
  width: number,
  gain: readonly number[],
  count: number,
): Float32Array<ArrayBuffer> {
  const draw = uniforms(seed);
  const [from = width, factor = 1] = gain;
  const directions = Array.from({ length: 10 }, () =>
    Array.from({ length: width }, () => 2 * draw() - 1),
  );
  const rows = new Float32Array(count * width);
  for (let row = 0; row < count; row++) {
    const sums = new Array<number>(width).fill(0.3);
    for (const direction of directions) {
      if (draw() >= 0.2) continue;
      const magnitude = 0.5 + draw();
      for (const [column, part] of direction.entries())
        sums[column] = (sums[column] ?? 0) + magnitude * part;
    }
    for (const [column, value] of sums.entries())
      rows[row * width + column] = Math.trunc(1000 * value * (column >= from ? factor : 1)) / 1000;
  }
  return rows;
}
