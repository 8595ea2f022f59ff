/** Sides of the squares that are transposed at once: their rows, read and written, stay in the cache. */
const tile = 32;

/**
 * A row-major matrix `[rows, columns]` of elements of 2 or 4 bytes, transposed as it is stored: the bytes of `[columns, rows]`.
 */
export function transposeStored(
  bytes: Uint8Array<ArrayBuffer>,
  [rows, columns]: readonly [number, number],
  elementBytes: 2 | 4,
): Uint8Array<ArrayBuffer> {
  const Elements = elementBytes === 2 ? Uint16Array : Uint32Array;
  const source =
    bytes.byteOffset % elementBytes === 0
      ? new Elements(bytes.buffer, bytes.byteOffset, rows * columns)
      : new Elements(bytes.slice().buffer);
  const target = new Elements(rows * columns);
  for (let top = 0; top < rows; top += tile) {
    const bottom = Math.min(rows, top + tile);
    for (let left = 0; left < columns; left += tile) {
      const right = Math.min(columns, left + tile);
      for (let row = top; row < bottom; row++)
        for (let column = left; column < right; column++)
          target[column * rows + row] = source[row * columns + column] ?? 0;
    }
  }
  return new Uint8Array(target.buffer);
}
