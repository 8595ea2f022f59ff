/** Elements of a block's dense pre-activations: 2^23 f32 are 33 MB, which caches and allocators bear well. */
const blockElements = 2 ** 23;

/** Rows of a block so that `rows * dSae` stays near 2^23: 512 for 16,384 latents. Between 16 and 1,024. */
export function blockRowsFor(dSae: number): number {
  return Math.min(1024, Math.max(16, Math.floor(blockElements / dSae)));
}

/** `[start, end)` of consecutive blocks; none for no rows. */
export function rowBlocks(
  rows: number,
  blockRows: number,
): (readonly [start: number, end: number])[] {
  return Array.from(
    { length: Math.ceil(rows / blockRows) },
    (_, index) => [index * blockRows, Math.min(rows, (index + 1) * blockRows)] as const,
  );
}
