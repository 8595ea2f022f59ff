import { FormatError } from "@latentkit/core";

/** Thrown inside the reader when the window of bytes at hand ends before the value does. Never leaves this package. */
export class NeedMoreBytes {
  readonly atLeast: number;

  constructor(atLeast: number) {
    this.atLeast = atLeast;
  }
}

/**
 * Reads little-endian values one after the other from the first bytes of a file. Lengths that the file states are compared with
 * the bytes that are left in the whole file before anything is allocated.
 */
export class ByteCursor {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #fileSize: number;
  readonly #where: string;
  readonly #text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  #at = 0;

  constructor(bytes: Uint8Array, fileSize: number, where: string) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#fileSize = fileSize;
    this.#where = where;
  }

  /** Bytes read so far. */
  get position(): number {
    return this.#at;
  }

  /** Bytes from here to the end of the file. */
  get left(): number {
    return this.#fileSize - this.#at;
  }

  /** Moves on by `length` bytes and gives where they began. */
  take(length: number, what: string): number {
    const start = this.#at;
    const end = start + length;
    if (end > this.#fileSize) {
      throw new FormatError({
        code: "GGUF_TRUNCATED",
        message: `${what} needs ${length} bytes at ${start}, but the file ends at ${this.#fileSize}`,
        fix: "the file is cut short or damaged: get it again",
        where: this.#where,
      });
    }
    if (end > this.#bytes.length) throw new NeedMoreBytes(end);
    this.#at = end;
    return start;
  }

  u8(what: string): number {
    return this.#view.getUint8(this.take(1, what));
  }

  i8(what: string): number {
    return this.#view.getInt8(this.take(1, what));
  }

  u16(what: string): number {
    return this.#view.getUint16(this.take(2, what), true);
  }

  i16(what: string): number {
    return this.#view.getInt16(this.take(2, what), true);
  }

  u32(what: string): number {
    return this.#view.getUint32(this.take(4, what), true);
  }

  i32(what: string): number {
    return this.#view.getInt32(this.take(4, what), true);
  }

  f32(what: string): number {
    return this.#view.getFloat32(this.take(4, what), true);
  }

  f64(what: string): number {
    return this.#view.getFloat64(this.take(8, what), true);
  }

  u64(what: string): bigint {
    return this.#view.getBigUint64(this.take(8, what), true);
  }

  i64(what: string): bigint {
    return this.#view.getBigInt64(this.take(8, what), true);
  }

  /** A count of things that take at least `bytesEach`; throws where the file is too short to hold them. */
  count(what: string, bytesEach: number): number {
    const stated = this.u64(what);
    if (stated <= BigInt(Math.floor(this.left / bytesEach))) return Number(stated);
    throw new FormatError({
      code: "GGUF_COUNT",
      message: `${what} is ${stated}, but the ${this.left} bytes that are left cannot hold so many`,
      fix: "the file is cut short or damaged: get it again",
      where: this.#where,
    });
  }

  /** A length and so many bytes of UTF-8. */
  string(what: string): string {
    const length = this.count(`the length of ${what}`, 1);
    const start = this.take(length, what);
    const bytes = this.#bytes.subarray(start, start + length);
    if (length < 32) {
      const text = shortAscii(bytes);
      if (text !== null) return text;
    }
    try {
      return this.#text.decode(bytes);
    } catch (cause) {
      throw new FormatError({
        code: "GGUF_STRING",
        message: `${what} at byte ${start} is not UTF-8`,
        fix: "the file is damaged: get it again",
        where: this.#where,
        cause,
      });
    }
  }
}

/** Most of a vocabulary is short ASCII; a decoder call costs several times more than this. */
function shortAscii(bytes: Uint8Array): string | null {
  let text = "";
  for (const byte of bytes) {
    if (byte > 127) return null;
    text += String.fromCharCode(byte);
  }
  return text;
}
