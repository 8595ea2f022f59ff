import { type Random, ShapeError } from "@latentkit/core";

/** Rows of equal width in one array, row-major: what the tests of this package read. */
export interface Rows {
  readonly data: Float32Array;
  readonly count: number;
  readonly width: number;
}

/** Wraps `data` as rows of `width`; throws ShapeError `ROWS_WIDTH` when the length is no multiple of it. */
export function asRows(data: Float32Array, width: number, where?: string): Rows {
  if (width > 0 && data.length % width === 0) return { data, count: data.length / width, width };
  throw new ShapeError({
    code: "ROWS_WIDTH",
    message: `${data.length} values cannot be rows of ${width}`,
    fix: "give a flat row-major array whose length is a multiple of the width",
    where,
  });
}

/** One row, sharing memory. */
export function rowOf(rows: Rows, index: number): Float32Array {
  return rows.data.subarray(index * rows.width, (index + 1) * rows.width);
}

/** Copies the chosen rows, in the order given. */
export function pickRows(rows: Rows, indices: ArrayLike<number>): Rows {
  const data = new Float32Array(indices.length * rows.width);
  for (let place = 0; place < indices.length; place++)
    data.set(rowOf(rows, indices[place] ?? 0), place * rows.width);
  return { data, count: indices.length, width: rows.width };
}

/** Rows scaled to unit length, lengths taken in f64. Zero rows stay zero, so that their cosines are 0 and not NaN. */
export function unitRows(rows: Rows): Rows {
  const data = new Float32Array(rows.data.length);
  for (let row = 0; row < rows.count; row++) {
    const source = rowOf(rows, row);
    const length = Math.sqrt(dot(source, source));
    if (length === 0) continue;
    const start = row * rows.width;
    for (let column = 0; column < rows.width; column++)
      data[start + column] = (source[column] ?? 0) / length;
  }
  return { data, count: rows.count, width: rows.width };
}

/** Inner product in f64. */
export function dot(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0;
  for (let index = 0; index < a.length; index++) sum += (a[index] ?? 0) * (b[index] ?? 0);
  return sum;
}

/** Cosine in f64; 0 when either vector is zero. */
export function cosine(a: ArrayLike<number>, b: ArrayLike<number>): number {
  const lengths = Math.sqrt(dot(a, a) * dot(b, b));
  return lengths === 0 ? 0 : dot(a, b) / lengths;
}

/** `count` directions drawn uniformly from the unit sphere: the null of every test that looks at a direction. */
export function randomDirections(count: number, width: number, random: Random): Rows {
  return unitRows({ data: random.fillNormal(new Float32Array(count * width)), count, width });
}

/** Indices 0 .. size - 1 for which `keep` holds, at most `limit` of them, drawn without replacement and sorted. */
export function sampleIndices(
  size: number,
  keep: (index: number) => boolean,
  limit: number,
  random: Random,
): number[] {
  const pool: number[] = [];
  for (let index = 0; index < size; index++) if (keep(index)) pool.push(index);
  if (pool.length <= limit) return pool;
  // Partial Fisher-Yates: only `limit` draws.
  for (let place = 0; place < limit; place++) {
    const other = place + random.integer(pool.length - place);
    const held = pool[place] ?? 0;
    pool[place] = pool[other] ?? 0;
    pool[other] = held;
  }
  return pool.slice(0, limit).sort((a, b) => a - b);
}
