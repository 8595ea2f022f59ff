import { Random } from "@latentkit/core";

/**
 * Assigns the cells of a square grid (first piece x second piece) to groups so that every row and every column has nearly the
 * same number of cells of each group: `floor(count / size)` or one more.
 *
 * It starts from diagonals, which are exactly balanced, and then shuffles by switches: where the corners of a rectangle belong
 * to groups A B / B A, they become B A / A B. Each switch keeps every row's and column's counts. Without the shuffle the group of a
 * name would be a function of the difference of its pieces' numbers, which a network can learn and use on names it never saw.
 *
 * @param size pieces a pool
 * @param counts cells a group; their sum, with each rounded up to whole diagonals, must not exceed `size * size`
 * @returns group of each cell, `[size * size]`, row-major; -1 where a cell is not used
 */
export function pieceGrid(
  size: number,
  counts: readonly number[],
  seed: number,
  stream: number,
): Int8Array {
  const random = new Random(seed, stream);
  const grid = new Int8Array(size * size).fill(-1);
  const offsets = random.permutation(size);
  let diagonal = 0;
  for (const [group, count] of counts.entries()) {
    for (let placed = 0; placed < count; diagonal++) {
      const rows = random.permutation(size);
      for (let step = 0; step < size && placed < count; step++, placed++) {
        const row = rows[step] ?? 0;
        grid[row * size + ((row + (offsets[diagonal] ?? 0)) % size)] = group;
      }
    }
  }
  // One try in a dozen finds a rectangle to switch, so that every cell takes part in some twenty-five switches.
  for (let attempt = 0; attempt < 80 * size * size; attempt++) switchCorners(grid, size, random);
  return grid;
}

function switchCorners(grid: Int8Array, size: number, random: Random): void {
  const [rowA, rowB] = [random.integer(size) * size, random.integer(size) * size];
  const [columnA, columnB] = [random.integer(size), random.integer(size)];
  const [a, b] = [grid[rowA + columnA] ?? -1, grid[rowA + columnB] ?? -1];
  if (a === b || grid[rowB + columnB] !== a || grid[rowB + columnA] !== b) return;
  grid[rowA + columnA] = grid[rowB + columnB] = b;
  grid[rowA + columnB] = grid[rowB + columnA] = a;
}
