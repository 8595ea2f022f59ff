import { decodeStored, FormatError, type StoredFormat } from "@latentkit/core";
import { type BlockFormat, decodeBlocks } from "./gguf/decode-blocks.ts";
import type { StorageFormat } from "./storage-format.ts";

type Bytes = Uint8Array<ArrayBuffer>;
type Floats = Float32Array<ArrayBuffer>;
type Integers = Int32Array<ArrayBuffer>;

const floatDecoders: Partial<Record<StorageFormat, (bytes: Bytes, count: number) => Floats>> = {
  F32: (bytes, count) => new Float32Array(evenly(bytes), 0, count),
  F16: stored("f16"),
  BF16: stored("bf16"),
  Q8_0: stored("q8_0"),
  Q4_0: stored("q4_0"),
  Q4_1: stored("q4_1"),
  Q5_0: blocks("Q5_0"),
  Q5_1: blocks("Q5_1"),
  Q2_K: blocks("Q2_K"),
  Q3_K: blocks("Q3_K"),
  Q4_K: stored("q4_k"),
  Q5_K: blocks("Q5_K"),
  Q6_K: stored("q6_k"),
  Q8_K: blocks("Q8_K"),
  F64: (bytes) => Float32Array.from(new Float64Array(evenly(bytes))),
  I64: (bytes) => Float32Array.from(new BigInt64Array(evenly(bytes)), Number),
  U64: (bytes) => Float32Array.from(new BigUint64Array(evenly(bytes)), Number),
  U32: (bytes) => Float32Array.from(new Uint32Array(evenly(bytes))),
  I32: (bytes) => Float32Array.from(new Int32Array(evenly(bytes))),
  U16: (bytes) => Float32Array.from(new Uint16Array(evenly(bytes))),
  I16: (bytes) => Float32Array.from(new Int16Array(evenly(bytes))),
  I8: (bytes) => Float32Array.from(new Int8Array(evenly(bytes))),
  U8: (bytes) => Float32Array.from(bytes),
  BOOL: (bytes) => Float32Array.from(bytes),
};

const integerDecoders: Partial<Record<StorageFormat, (bytes: Bytes, where: string) => Integers>> = {
  I32: (bytes) => new Int32Array(evenly(bytes)),
  U8: (bytes) => Int32Array.from(bytes),
  BOOL: (bytes) => Int32Array.from(bytes),
  I8: (bytes) => Int32Array.from(new Int8Array(evenly(bytes))),
  I16: (bytes) => Int32Array.from(new Int16Array(evenly(bytes))),
  U16: (bytes) => Int32Array.from(new Uint16Array(evenly(bytes))),
  U32: (bytes, where) =>
    Int32Array.from(new Uint32Array(evenly(bytes)), (value) => checkInteger(value, where)),
  I64: (bytes, where) =>
    Int32Array.from(new BigInt64Array(evenly(bytes)), (value) => checkInteger(value, where)),
  U64: (bytes, where) =>
    Int32Array.from(new BigUint64Array(evenly(bytes)), (value) => checkInteger(value, where)),
};

/**
 * Stored elements as f32. Exact for F32, F16, BF16 and 8- and 16-bit integers, and for Q4_0 to Q8_0 and Q2_K to Q8_K equal bit
 * for bit to ggml's own dequantisation (see core's `StoredFormat` and {@link BlockFormat}). F64 and wider integers are rounded
 * to f32.
 *
 * @param count elements, a whole number of blocks; `bytes` holds exactly those.
 */
export function decodeFloats(
  bytes: Bytes,
  format: StorageFormat,
  count: number,
  where: string,
): Floats {
  const decode = floatDecoders[format];
  if (decode !== undefined) return decode(bytes, count);
  throw new FormatError({
    code: "FORMAT_NOT_DECODED",
    message: `the tensor is stored as ${format}, which cannot be read as floats here; ${Object.keys(floatDecoders).join(", ")} can`,
    fix: "get the model in one of those formats (for GGUF: Q8_0, Q6_K, Q5_K, Q4_K, another K-quant, F16 or BF16)",
    where,
  });
}

/** Stored integers as i32; throws {@link FormatError} for float formats and for values that do not fit. */
export function decodeIntegers(bytes: Bytes, format: StorageFormat, where: string): Integers {
  const decode = integerDecoders[format];
  if (decode !== undefined) return decode(bytes, where);
  throw new FormatError({
    code: "FORMAT_NOT_INTEGERS",
    message: `the tensor is stored as ${format}; ${Object.keys(integerDecoders).join(", ")} are integers`,
    fix: "read it as floats",
    where,
  });
}

function checkInteger(value: number | bigint, where: string): number {
  if (value >= -2_147_483_648 && value <= 2_147_483_647) return Number(value);
  throw new FormatError({
    code: "INTEGER_TOO_LARGE",
    message: `the tensor holds ${value}, which does not fit 32 bits with a sign`,
    fix: "read its bytes instead, or check that this is the tensor you mean",
    where,
  });
}

/** A buffer of these bytes and no others, for typed arrays to look at; a copy only where it has to be. */
function evenly(bytes: Bytes): ArrayBuffer {
  const whole = bytes.byteOffset === 0 && bytes.byteLength === bytes.buffer.byteLength;
  return whole ? bytes.buffer : bytes.slice().buffer;
}

/** The decoder of a format that only files have. */
function blocks(format: BlockFormat): (bytes: Bytes, count: number) => Floats {
  return (bytes, count) => decodeBlocks(bytes, format, count);
}

/** Core's decoder of a format. */
function stored(format: StoredFormat): (bytes: Bytes, count: number) => Floats {
  return (bytes, count) => {
    const result = new Float32Array(count);
    decodeStored(bytes, format, result);
    return result;
  };
}
