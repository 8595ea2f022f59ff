import { DeviceError, fromBf16Bits, fromF16Bits, toBf16Bits, toF16Bits } from "@latentkit/core";
import type { Slice, Storage } from "../backend.ts";

/** The reference backend's storage: plain host memory. */
export class ReferenceStorage implements Storage {
  readonly byteLength: number;
  #bytes: Uint8Array<ArrayBuffer> | null;

  constructor(byteLength: number) {
    this.byteLength = byteLength;
    // Not zeros: a kernel that forgets to write an element must not pass its test by luck.
    this.#bytes = new Uint8Array(Math.ceil(byteLength / 4) * 4).fill(0xff);
  }

  get bytes(): Uint8Array<ArrayBuffer> {
    if (this.#bytes !== null) return this.#bytes;
    throw new DeviceError({
      code: "STORAGE_FREED",
      message: `a storage of ${this.byteLength} bytes was used after it was freed`,
      fix: "this is a fault in Latentkit: report it",
    });
  }

  free(): void {
    this.#bytes = null;
  }
}

/** The host memory behind a storage; throws `DeviceError` for another backend's. */
export function hostBytes(storage: Storage): Uint8Array<ArrayBuffer> {
  if (storage instanceof ReferenceStorage) return storage.bytes;
  throw new DeviceError({
    code: "DEVICE_MISMATCH",
    message: "the reference backend was given another backend's storage",
    fix: "use tensors of one device together",
  });
}

/** A slice of f32, to read and write in place. */
export function f32(slice: Slice): Float32Array<ArrayBuffer> {
  return new Float32Array(hostBytes(slice.storage).buffer, slice.offset * 4, slice.length);
}

/** A slice of i32, to read and write in place. */
export function i32(slice: Slice): Int32Array<ArrayBuffer> {
  return new Int32Array(hostBytes(slice.storage).buffer, slice.offset * 4, slice.length);
}

/** Elements of any dtype as numbers. */
export interface Elements {
  get(index: number): number;
  /** Rounds to the dtype. */
  set(index: number, value: number): void;
}

/** A slice of any dtype. */
export function elements(slice: Slice): Elements {
  const { buffer } = hostBytes(slice.storage);
  switch (slice.dtype) {
    case "f32":
      return over(new Float32Array(buffer, slice.offset * 4, slice.length));
    case "i32":
      return over(new Int32Array(buffer, slice.offset * 4, slice.length));
    case "u8":
      return over(new Uint8Array(buffer, slice.offset, slice.length));
    case "f16":
      return overHalves(
        new Uint16Array(buffer, slice.offset * 2, slice.length),
        fromF16Bits,
        toF16Bits,
      );
    case "bf16":
      return overHalves(
        new Uint16Array(buffer, slice.offset * 2, slice.length),
        fromBf16Bits,
        toBf16Bits,
      );
  }
}

function over(array: Float32Array | Int32Array | Uint8Array): Elements {
  return {
    get: (index) => array[index] ?? Number.NaN,
    set: (index, value) => {
      array[index] = value;
    },
  };
}

function overHalves(
  array: Uint16Array,
  read: (bits: number) => number,
  write: (value: number) => number,
): Elements {
  return {
    get: (index) => read(array[index] ?? 0),
    set: (index, value) => {
      array[index] = write(value);
    },
  };
}
