/**
 * Pearson's chi-square of counts against expected ones, as a z-score by the cube-root transform of Wilson and Hilferty (1931): about
 * standard normal if the counts follow the expectation.
 *
 * @param counts what was counted, [n]
 * @param weights what is expected, in any unit, [n]
 * @param freedom degrees of freedom; default n - 1
 */
export function chiSquareZ(
  counts: readonly number[],
  weights: readonly number[],
  freedom: number = counts.length - 1,
): number {
  const total = counts.reduce((sum, count) => sum + count, 0);
  const weight = weights.reduce((sum, value) => sum + value, 0);
  let statistic = 0;
  for (const [index, count] of counts.entries()) {
    const expected = ((weights[index] ?? 0) / weight) * total;
    statistic += (count - expected) ** 2 / expected;
  }
  const variance = 2 / (9 * freedom);
  return (Math.cbrt(statistic / freedom) - (1 - variance)) / Math.sqrt(variance);
}

/** {@link chiSquareZ} of a table of counts [rows, columns] against independence of rows and columns. */
export function independenceZ(table: readonly (readonly number[])[]): number {
  const rows = table.map((row) => row.reduce((sum, count) => sum + count, 0));
  const columns = (table[0] ?? []).map((_, column) =>
    table.reduce((sum, row) => sum + (row[column] ?? 0), 0),
  );
  const weights = rows.flatMap((row) => columns.map((column) => row * column));
  return chiSquareZ(table.flat(), weights, (rows.length - 1) * (columns.length - 1));
}

/** How many standard errors a share of `count` yes in `total` is away from `share`. */
export function shareZ(count: number, total: number, share: number): number {
  return (count - total * share) / Math.sqrt(total * share * (1 - share));
}
