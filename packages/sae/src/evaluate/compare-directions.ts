import {
  ConfigError,
  type LongCallOptions,
  ShapeError,
  throwIfAborted,
  yieldToEventLoop,
} from "@latentkit/core";
import { type Device, matmul } from "@latentkit/tensor";
import { maximumAssignment } from "./assignment.ts";
import type { Interval } from "./bootstrap.ts";
import { bootstrapInterval } from "./bootstrap.ts";

/** Directions to compare: rows `[count, width]`, for example an SAE's decoder, or the features of a synthetic world. */
export interface Directions {
  readonly rows: ArrayLike<number>;
  readonly width: number;
  /** Which rows to take, for example those of living latents; all by default. */
  readonly only?: readonly number[] | undefined;
}

/** How {@link compareDirections} goes about it. */
export interface CompareDirectionsOptions extends LongCallOptions {
  /** Where products are computed. */
  readonly device: Device;
  /** Whether a direction and its opposite are the same; false by default, since latents do not fire below 0. */
  readonly absolute?: boolean | undefined;
  /** A match above this cosine counts as found again; 0.7 by default. */
  readonly foundAbove?: number | undefined;
  /** Bootstrap resamples over matched pairs; 1,000 by default. */
  readonly resamples?: number | undefined;
  readonly seed?: number | undefined;
}

/** A direction of one set and its partner in the other. */
export interface DirectionMatch {
  readonly a: number;
  readonly b: number;
  readonly cosine: number;
}

/** How much two sets of directions are the same. */
export interface DirectionComparison {
  /** Compared directions of each. */
  readonly sizes: readonly [a: number, b: number];
  /** Mean over directions of a of the largest cosine with one of b (mean max cosine similarity). */
  readonly meanMaxCosine: number;
  readonly meanMaxCosineInterval: Interval | null;
  /** The other way round. */
  readonly meanMaxCosineReverse: number;
  /** MCC: mean cosine of the pairs of the best one-to-one matching. */
  readonly meanMatchedCosine: number;
  readonly meanMatchedCosineInterval: Interval | null;
  /** Share of the pairs whose cosine is above `foundAbove`. */
  readonly foundAgain: number;
  readonly foundAgainInterval: Interval | null;
  /** Share of directions of a whose nearest one of b is not the nearest one of another: 1 where each has its own. */
  readonly uniqueness: number;
  /** The matching, by `a`. */
  readonly matches: readonly DirectionMatch[];
}

/** Entries of the matrix of cosines at most: 1 GiB, and some ten minutes of matching. */
const maximumEntries = 2 ** 28;

/**
 * Compares two sets of directions by cosine: nearest ones, and the one-to-one matching with the largest sum (Hungarian algorithm). Of
 * SAEs that differ in their seed this is seed stability; against the true directions of a synthetic world, with `absolute`, it is the
 * MCC. Rows of length 0 have cosine 0 with everything.
 *
 * The matching takes time of the order of (smaller size)^2 times the larger one: seconds for thousands.
 *
 * @throws ShapeError `DIRECTIONS_WIDTH`; ConfigError `DIRECTIONS_EMPTY`, `DIRECTIONS_MANY`; AbortedError
 *
 * @example
 * const { meanMatchedCosine } = await compareDirections(
 *   { rows: (await a.weights()).decoder, width: a.config.dIn },
 *   { rows: (await b.weights()).decoder, width: b.config.dIn },
 *   { device },
 * );
 */
export async function compareDirections(
  a: Directions,
  b: Directions,
  options: CompareDirectionsOptions,
): Promise<DirectionComparison> {
  const { absolute = false, foundAbove = 0.7, resamples = 1000, seed = 0, signal } = options;
  const [of, to] = [unitRows(a), unitRows(b)];
  check(a, b, of.places.length, to.places.length);
  const [rows, columns] = [of.places.length, to.places.length];
  const cosines = await products(of.data, to.data, [rows, columns, a.width], options);
  if (absolute)
    for (let index = 0; index < cosines.length; index++)
      cosines[index] = Math.abs(cosines[index] ?? 0);
  const nearest = nearestOf(cosines, rows, columns);
  throwIfAborted(signal);
  const { onProgress } = options;
  const assigned = await maximumAssignment(cosines, rows, columns, { signal, onProgress });
  const matches: DirectionMatch[] = [];
  for (const [row, column] of assigned.entries()) {
    if (column < 0) continue;
    matches.push({
      a: of.places[row] ?? 0,
      b: to.places[column] ?? 0,
      cosine: cosines[row * columns + column] ?? 0,
    });
  }
  const matched = Float64Array.from(matches, ({ cosine }) => cosine);
  const found = matched.map((cosine) => (cosine > foundAbove ? 1 : 0));
  const interval = (values: Float64Array): Interval | null =>
    bootstrapInterval(values.length, (draws) => weightedMean(values, draws), { resamples, seed });
  return {
    sizes: [rows, columns],
    meanMaxCosine: mean(nearest.byRow),
    meanMaxCosineInterval: interval(nearest.byRow),
    meanMaxCosineReverse: mean(nearest.byColumn),
    meanMatchedCosine: mean(matched),
    meanMatchedCosineInterval: interval(matched),
    foundAgain: mean(found),
    foundAgainInterval: interval(found),
    uniqueness: uniqueShare(nearest.columnOf, columns),
    matches,
  };
}

function check(a: Directions, b: Directions, rows: number, columns: number): void {
  if (a.width !== b.width || a.rows.length % a.width !== 0 || b.rows.length % b.width !== 0) {
    throw new ShapeError({
      code: "DIRECTIONS_WIDTH",
      message: `directions of width ${a.width} and ${b.width}, from ${a.rows.length} and ${b.rows.length} numbers, cannot be compared`,
      fix: "give whole rows of one width: decoders of SAEs at one site of one model",
    });
  }
  if (rows === 0 || columns === 0) {
    throw new ConfigError({
      code: "DIRECTIONS_EMPTY",
      message: `${rows} and ${columns} directions were given`,
      fix: "give at least one direction on each side",
    });
  }
  if (rows * columns > maximumEntries) {
    throw new ConfigError({
      code: "DIRECTIONS_MANY",
      message: `${rows} times ${columns} cosines were asked for, and at most ${maximumEntries} are computed`,
      fix: "compare fewer latents, for example those that fire, with `only`",
    });
  }
}

/** Chosen rows brought to length 1, with their numbers. */
function unitRows({ rows, width, only }: Directions): {
  readonly data: Float32Array;
  readonly places: readonly number[];
} {
  const count = Math.floor(rows.length / width);
  const places = only ?? Array.from({ length: count }, (_, row) => row);
  const data = new Float32Array(places.length * width);
  for (const [at, row] of places.entries()) {
    let squares = 0;
    for (let column = 0; column < width; column++)
      squares += (rows[row * width + column] ?? 0) ** 2;
    const scale = squares > 0 ? 1 / Math.sqrt(squares) : 0;
    for (let column = 0; column < width; column++)
      data[at * width + column] = scale * (rows[row * width + column] ?? 0);
  }
  return { data, places };
}

async function products(
  a: Float32Array,
  b: Float32Array,
  [rows, columns, width]: readonly [number, number, number],
  { device, signal, onProgress }: CompareDirectionsOptions,
): Promise<Float32Array> {
  const result = new Float32Array(rows * columns);
  using right = device.tensor(b, [columns, width]);
  const size = Math.max(1, Math.floor(2 ** 22 / columns));
  for (let start = 0; start < rows; start += size) {
    throwIfAborted(signal);
    const end = Math.min(rows, start + size);
    using left = device.tensor(a.subarray(start * width, end * width), [end - start, width]);
    using block = matmul(left, right, { transposeB: true });
    result.set(await block.floats(), start * columns);
    onProgress?.({ stage: "compare directions", done: end, total: rows, unit: "directions" });
    await yieldToEventLoop();
  }
  return result;
}

function nearestOf(
  cosines: Float32Array,
  rows: number,
  columns: number,
): {
  readonly byRow: Float64Array;
  readonly byColumn: Float64Array;
  readonly columnOf: Int32Array;
} {
  const byRow = new Float64Array(rows).fill(Number.NEGATIVE_INFINITY);
  const byColumn = new Float64Array(columns).fill(Number.NEGATIVE_INFINITY);
  const columnOf = new Int32Array(rows);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const cosine = cosines[row * columns + column] ?? 0;
      if (cosine > (byRow[row] ?? 0)) {
        byRow[row] = cosine;
        columnOf[row] = column;
      }
      if (cosine > (byColumn[column] ?? 0)) byColumn[column] = cosine;
    }
  }
  return { byRow, byColumn, columnOf };
}

/** Share of directions whose nearest one is no other's nearest one. */
function uniqueShare(columnOf: Int32Array, columns: number): number {
  const uses = new Int32Array(columns);
  for (const column of columnOf) uses[column] = (uses[column] ?? 0) + 1;
  let unique = 0;
  for (const column of columnOf) unique += uses[column] === 1 ? 1 : 0;
  return unique / columnOf.length;
}

function mean(values: Float64Array): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function weightedMean(values: Float64Array, draws: Uint32Array): number {
  let [sum, count] = [0, 0];
  for (const [index, value] of values.entries()) {
    sum += (draws[index] ?? 0) * value;
    count += draws[index] ?? 0;
  }
  return sum / count;
}
