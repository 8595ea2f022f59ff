/**
 * Unpacks deflated bytes that must become `size` bytes. Null where they are damaged or become more; no more than that is ever kept,
 * however much there would be.
 */
export async function inflate(
  packed: Uint8Array<ArrayBuffer>,
  size: number,
): Promise<Uint8Array<ArrayBuffer> | null> {
  const result = new Uint8Array(size);
  let length = 0;
  const reader = new Blob([packed])
    .stream()
    .pipeThrough(new DecompressionStream("deflate-raw"))
    .getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return length === size ? result : null;
      if (length + value.length > size) {
        await reader.cancel();
        return null;
      }
      result.set(value, length);
      length += value.length;
    }
  } catch {
    // The stream's errors say nothing more than that the bytes are damaged.
    return null;
  }
}
