import { type LongCallOptions, throwIfAborted, yieldToEventLoop } from "@latentkit/core";

/**
 * The assignment of rows to columns, each used once, with the largest sum of scores: the Hungarian problem, by shortest augmenting
 * paths (Jonker and Volgenant 1987; Crouse 2016, as SciPy's `linear_sum_assignment`). O(rows^2 columns), in f64.
 *
 * @param scores `[rows, columns]`, finite
 * @returns for each row its column; -1 for rows that are left over where there are fewer columns
 * @throws AbortedError
 */
export async function maximumAssignment(
  scores: ArrayLike<number>,
  rows: number,
  columns: number,
  options: LongCallOptions = {},
): Promise<Int32Array> {
  if (rows <= columns)
    return assignRows(rows, columns, (i, j) => -(scores[i * columns + j] ?? 0), options);
  const byColumn = await assignRows(
    columns,
    rows,
    (i, j) => -(scores[j * columns + i] ?? 0),
    options,
  );
  const byRow = new Int32Array(rows).fill(-1);
  for (const [column, row] of byColumn.entries()) byRow[row] = column;
  return byRow;
}

/** The cheapest column for each row, where there are no more rows than columns. */
async function assignRows(
  rows: number,
  columns: number,
  cost: (row: number, column: number) => number,
  { signal, onProgress }: LongCallOptions,
): Promise<Int32Array> {
  let paused = performance.now();
  const columnOf = new Int32Array(rows).fill(-1);
  const rowOf = new Int32Array(columns).fill(-1);
  // Dual prices: cost(i, j) - u[i] - v[j] is never negative, and 0 where assigned.
  const [u, v] = [new Float64Array(rows), new Float64Array(columns)];
  const [distance, previous] = [new Float64Array(columns), new Int32Array(columns)];
  const open = new Int32Array(columns);
  for (let start = 0; start < rows; start++) {
    // Timers and Ctrl-C are heard a few times a second.
    if (performance.now() - paused > 100) {
      throwIfAborted(signal);
      onProgress?.({ stage: "match", done: start, total: rows, unit: "rows" });
      await yieldToEventLoop();
      paused = performance.now();
    }
    distance.fill(Number.POSITIVE_INFINITY);
    for (let column = 0; column < columns; column++) open[column] = column;
    let left = columns;
    const [reachedRows, closed]: [number[], number[]] = [[], []];
    let [row, shortest, sink] = [start, 0, -1];
    while (sink < 0) {
      reachedRows.push(row);
      let [best, bestDistance] = [-1, Number.POSITIVE_INFINITY];
      for (let at = 0; at < left; at++) {
        const column = open[at] ?? 0;
        const through = shortest + cost(row, column) - (u[row] ?? 0) - (v[column] ?? 0);
        if (through < (distance[column] ?? 0)) {
          distance[column] = through;
          previous[column] = row;
        }
        const found = distance[column] ?? 0;
        // Of equally near columns a free one ends the search.
        if (found < bestDistance || (found === bestDistance && rowOf[column] === -1)) {
          best = at;
          bestDistance = found;
        }
      }
      const column = open[best] ?? 0;
      shortest = bestDistance;
      closed.push(column);
      open[best] = open[--left] ?? 0;
      if (rowOf[column] === -1) sink = column;
      else row = rowOf[column] ?? 0;
    }
    u[start] = (u[start] ?? 0) + shortest;
    for (const reached of reachedRows) {
      if (reached === start) continue;
      const column = columnOf[reached] ?? 0;
      u[reached] = (u[reached] ?? 0) + shortest - (distance[column] ?? 0);
    }
    for (const column of closed)
      v[column] = (v[column] ?? 0) - (shortest - (distance[column] ?? 0));
    for (let column = sink; ;) {
      const from = previous[column] ?? 0;
      rowOf[column] = from;
      const next = columnOf[from] ?? -1;
      columnOf[from] = column;
      if (from === start) break;
      column = next;
    }
  }
  return columnOf;
}
