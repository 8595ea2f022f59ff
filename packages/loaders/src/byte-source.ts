import { FormatError, throwIfAborted } from "@latentkit/core";

/**
 * Random access to bytes: a file, a blob, memory, a web server. Readers of formats take one of these and do no I/O themselves.
 *
 * `read` gives exactly `length` bytes or throws {@link FormatError} `SOURCE_TRUNCATED`. The caller owns the source and closes it.
 */
export interface ByteSource {
  /** How messages call it: a path, a URL, the name of an upload. */
  readonly name: string;
  /** Bytes in all. */
  readonly size: number;
  read(offset: number, length: number, signal?: AbortSignal): Promise<Uint8Array<ArrayBuffer>>;
  /**
   * Fills all of `target` from `offset` on, or throws as `read` does. Sources that cannot save an allocation by it leave it out.
   */
  readInto?(offset: number, target: Uint8Array<ArrayBuffer>, signal?: AbortSignal): Promise<void>;
  close(): Promise<void>;
}

/** Throws unless `offset` and `length` lie inside the source. Sources share this check. */
export function checkRange(
  source: { readonly name: string; readonly size: number },
  offset: number,
  length: number,
): void {
  const whole =
    Number.isSafeInteger(offset) && Number.isSafeInteger(length) && offset >= 0 && length >= 0;
  if (whole && offset + length <= source.size) return;
  throw new FormatError({
    code: "SOURCE_TRUNCATED",
    message: `${length} bytes from ${offset} were wanted, but there are ${source.size} bytes in all`,
    fix: "the file is cut short or not what it says: get it again",
    where: source.name,
  });
}

/** A source over bytes in memory. `read` gives copies, so nobody can change the original through them. */
export function bytesSource(bytes: Uint8Array, name: string): ByteSource {
  const size = bytes.byteLength;
  return {
    name,
    size,
    async read(offset, length, signal) {
      throwIfAborted(signal);
      checkRange({ name, size }, offset, length);
      return new Uint8Array(bytes.subarray(offset, offset + length));
    },
    async close() {},
  };
}

/** A source over a `Blob` or a `File` of a web page. */
export function blobSource(blob: Blob, name: string): ByteSource {
  const size = blob.size;
  return {
    name,
    size,
    async read(offset, length, signal) {
      throwIfAborted(signal);
      checkRange({ name, size }, offset, length);
      return new Uint8Array(await blob.slice(offset, offset + length).arrayBuffer());
    },
    async close() {},
  };
}
