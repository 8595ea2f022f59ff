import { DeviceError, fromBf16Bits, fromF16Bits, toBf16Bits, toF16Bits } from "@latentkit/core";
import type { Slice, Storage } from "../backend.ts";

/** How the reference backend holds floats: as f32, or as f64 so that finite differences of whole models mean something. */
export type ReferencePrecision = "f32" | "f64";

/** The f32 elements of a slice; f64 behind the scenes on a reference backend of that precision. */
export type Floats = Float32Array<ArrayBuffer> | Float64Array<ArrayBuffer>;

/** The reference backend's storage: plain host memory. */
export class ReferenceStorage implements Storage {
  readonly byteLength: number;
  readonly precision: ReferencePrecision;
  #bytes: Uint8Array<ArrayBuffer> | null;

  constructor(byteLength: number, precision: ReferencePrecision) {
    this.byteLength = byteLength;
    this.precision = precision;
    // Not zeros: a kernel that forgets to write an element must not pass its test by luck.
    const wanted = precision === "f64" ? 2 * byteLength : byteLength;
    this.#bytes = new Uint8Array(Math.ceil(wanted / 8) * 8).fill(0xff);
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

/** The storage as the reference backend made it; throws `DeviceError` for another backend's. */
export function ownStorage(storage: Storage): ReferenceStorage {
  if (storage instanceof ReferenceStorage) return storage;
  throw new DeviceError({
    code: "DEVICE_MISMATCH",
    message: "the reference backend was given another backend's storage",
    fix: "use tensors of one device together",
  });
}

/** A slice of f32, to read and write in place. */
export function f32(slice: Slice): Floats {
  const { bytes, precision } = ownStorage(slice.storage);
  return precision === "f64"
    ? new Float64Array(bytes.buffer, slice.offset * 8, slice.length)
    : new Float32Array(bytes.buffer, slice.offset * 4, slice.length);
}

/** A slice of i32, to read and write in place. */
export function i32(slice: Slice): Int32Array<ArrayBuffer> {
  const { buffer } = ownStorage(slice.storage).bytes;
  return new Int32Array(buffer, slice.offset * 4, slice.length);
}

/** A slice of u8, to read and write in place. */
export function u8(slice: Slice): Uint8Array<ArrayBuffer> {
  const { buffer } = ownStorage(slice.storage).bytes;
  return new Uint8Array(buffer, slice.offset, slice.length);
}

/** Elements of any dtype as numbers. */
export interface Elements {
  get(index: number): number;
  /** Rounds to the dtype. */
  set(index: number, value: number): void;
}

/** A slice of any dtype. */
export function elements(slice: Slice): Elements {
  const { buffer } = ownStorage(slice.storage).bytes;
  switch (slice.dtype) {
    case "f32":
      return over(f32(slice));
    case "i32":
      return over(i32(slice));
    case "u8":
      return over(u8(slice));
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

function over(array: Floats | Int32Array | Uint8Array): Elements {
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
