import {
  bytesPerElement,
  ConfigError,
  FormatError,
  formatShape,
  sizeOf,
  toF16Bits,
} from "@latentkit/core";
import { decodeFloats } from "../decode-elements.ts";
import { parseNpyHeader } from "./npy-header.ts";

/** How floats are stored. */
export type NpyDType = "f16" | "f32" | "f64";

/** An array to be written. */
export interface NpyArrayToWrite {
  readonly shape: readonly number[];
  /** Row by row. */
  readonly values: Float32Array;
  /** `"f16"` rounds; `"f32"` by default. */
  readonly dtype?: "f16" | "f32" | undefined;
}

/** An array that was read. */
export interface NpyArray {
  readonly shape: readonly number[];
  /** Row by row, as f32. */
  readonly values: Float32Array<ArrayBuffer>;
  /** As it was stored. */
  readonly dtype: NpyDType;
}

const magic = [0x93, ...new TextEncoder().encode("NUMPY")];
/** Data begins at a multiple of this, as numpy has it. */
const alignment = 64;
const types: ReadonlyMap<string, { readonly dtype: NpyArray["dtype"]; readonly bytes: number }> =
  new Map([
    ["<f2", { dtype: "f16", bytes: 2 }],
    ["<f4", { dtype: "f32", bytes: 4 }],
    ["<f8", { dtype: "f64", bytes: 8 }],
  ]);

/** A `.npy` file, version 1.0, in C order. Throws {@link ConfigError} `NPZ_TO_WRITE` for values that do not fill their shape. */
export function encodeNpy({
  shape,
  values,
  dtype = "f32",
}: NpyArrayToWrite): Uint8Array<ArrayBuffer> {
  if (sizeOf(shape) !== values.length) {
    throw new ConfigError({
      code: "NPZ_TO_WRITE",
      message: `${values.length} values were given for an array of shape ${formatShape(shape)}`,
      fix: "give as many values as the shape has elements",
    });
  }
  const width = bytesPerElement(dtype);
  const tuple = `(${shape.join(", ")}${shape.length === 1 ? "," : ""})`;
  const header = `{'descr': '<f${width}', 'fortran_order': False, 'shape': ${tuple}, }`;
  const start = Math.ceil((magic.length + 4 + header.length + 1) / alignment) * alignment;
  const bytes = new Uint8Array(start + values.length * width);
  const view = new DataView(bytes.buffer);
  bytes.set(magic);
  bytes.set([1, 0], magic.length);
  view.setUint16(magic.length + 2, start - magic.length - 4, true);
  bytes.set(
    new TextEncoder().encode(`${header.padEnd(start - magic.length - 5)}\n`),
    magic.length + 4,
  );
  for (const [index, value] of values.entries()) {
    if (dtype === "f16") view.setUint16(start + width * index, toF16Bits(value), true);
    else view.setFloat32(start + width * index, value, true);
  }
  return bytes;
}

/** What a `.npy` file says of its array. */
export interface NpyInfo {
  readonly shape: readonly number[];
  readonly dtype: NpyDType;
  /** Elements. */
  readonly count: number;
  /** Where the data begins. */
  readonly start: number;
}

/**
 * Reads the header of a `.npy` file of little-endian floats in C order, versions 1 to 3.
 *
 * Throws {@link FormatError} `NPY_HEADER`, `NPY_TYPE`, `NPY_SIZE`.
 *
 * @param bytes the file, or its start as far as the header goes
 * @param size bytes of the whole file
 */
export function npyInfo(bytes: Uint8Array, size: number, where: string): NpyInfo {
  const { header, start } = headerOf(bytes, where);
  const { descr, fortranOrder, shape } = parseNpyHeader(header, where);
  const type = types.get(descr ?? "");
  if (type === undefined || fortranOrder) {
    throw new FormatError({
      code: "NPY_TYPE",
      message: fortranOrder
        ? "the array is stored column by column"
        : `the array is of type ${descr ?? "record"}; little-endian floats of 2, 4 and 8 bytes are read`,
      fix: "save numpy.ascontiguousarray(array, dtype='<f4') of it",
      where,
    });
  }
  const count = sizeOf(shape);
  const available = size - start;
  // Compared by division, since the product of a lying shape need not be a safe integer.
  if (!Number.isSafeInteger(count) || available / type.bytes !== count) {
    throw new FormatError({
      code: "NPY_SIZE",
      message: `the array of shape ${formatShape(shape)} and type ${type.dtype} has ${available} bytes of data`,
      fix: "get the file again; it was cut, or written by something else than numpy",
      where,
    });
  }
  return { shape, dtype: type.dtype, count, start };
}

/** Reads a `.npy` file. Throws as {@link npyInfo}. */
export function parseNpy(bytes: Uint8Array, where: string): NpyArray {
  const { shape, dtype, count, start } = npyInfo(bytes, bytes.length, where);
  return { shape, dtype, values: floatsOf(bytes, start, count, dtype) };
}

function headerOf(
  bytes: Uint8Array,
  where: string,
): { readonly header: string; readonly start: number } {
  const version = bytes[magic.length] ?? 0;
  const known = magic.every((byte, index) => bytes[index] === byte) && version >= 1 && version <= 3;
  const lengthAt = magic.length + 2;
  const lengthBytes = version === 1 ? 2 : 4;
  if (!known || bytes.length < lengthAt + lengthBytes) {
    throw new FormatError({
      code: "NPY_HEADER",
      message:
        known || bytes.length < lengthAt
          ? "the array's header cannot be read: the file ends within it"
          : "the array's header cannot be read: it does not begin as .npy files of versions 1 to 3 do",
      fix: "get the file again, or write it with numpy.save or numpy.savez",
      where,
    });
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = version === 1 ? view.getUint16(lengthAt, true) : view.getUint32(lengthAt, true);
  const begin = lengthAt + lengthBytes;
  if (begin + length > bytes.length) {
    throw new FormatError({
      code: "NPY_HEADER",
      message: "the array's header cannot be read: the file ends within it",
      fix: "get the file again, or write it with numpy.save or numpy.savez",
      where,
    });
  }
  return {
    header: new TextDecoder().decode(bytes.subarray(begin, begin + length)),
    start: begin + length,
  };
}

function floatsOf(
  bytes: Uint8Array,
  start: number,
  count: number,
  dtype: NpyArray["dtype"],
): Float32Array<ArrayBuffer> {
  const [format, width] = ({ f16: ["F16", 2], f32: ["F32", 4], f64: ["F64", 8] } as const)[dtype];
  // A copy, so that the values do not keep the file in memory.
  return decodeFloats(bytes.slice(start, start + count * width), format, count, dtype);
}
