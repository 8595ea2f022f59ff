import { fromF16Bits, FormatError } from "@latentkit/core";
import type { StorageFormat } from "./storage-format.ts";

let halves: Float32Array | undefined;

/** All 65,536 f16 values: one load from here is several times faster than taking the bits apart. */
function halfTable(): Float32Array {
  halves ??= Float32Array.from({ length: 65_536 }, (_, bits) => fromF16Bits(bits));
  return halves;
}

type Bytes = Uint8Array<ArrayBuffer>;
type Floats = Float32Array<ArrayBuffer>;
type Integers = Int32Array<ArrayBuffer>;

const floatDecoders: Partial<Record<StorageFormat, (bytes: Bytes, count: number) => Floats>> = {
  F32: (bytes, count) => new Float32Array(evenly(bytes), 0, count),
  F16: decodeHalves,
  BF16: decodeBrainHalves,
  Q8_0: decodeQ8,
  Q4_0: decodeQ4,
  Q4_1: decodeQ4WithMinimum,
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
 * Stored elements as f32. Exact for F32, F16, BF16 and 8- and 16-bit integers, and for Q8_0, Q4_0 and Q4_1 equal bit for bit to
 * ggml's own dequantisation (`d * q`, `d * q + m`, rounded once). F64 and wider integers are rounded to f32.
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
    fix: "get the model in one of those formats (for GGUF: Q8_0, Q4_0, Q4_1, F16 or BF16)",
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

function decodeHalves(bytes: Bytes, count: number): Floats {
  const table = halfTable();
  const stored = new Uint16Array(evenly(bytes));
  const result = new Float32Array(count);
  for (let i = 0; i < count; i++) result[i] = table[stored[i] ?? 0] ?? 0;
  return result;
}

function decodeBrainHalves(bytes: Bytes, count: number): Floats {
  const stored = new Uint16Array(evenly(bytes));
  const result = new Float32Array(count);
  const bits = new Uint32Array(result.buffer);
  for (let i = 0; i < count; i++) bits[i] = (stored[i] ?? 0) << 16;
  return result;
}

/** Blocks of 34 bytes: f16 `d`, 32 signed bytes `q`; the value is `d * q`. */
function decodeQ8(bytes: Bytes, count: number): Floats {
  const table = halfTable();
  const signed = new Int8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const result = new Float32Array(count);
  for (let at = 0, out = 0; out < count; at += 34, out += 32) {
    const scale = table[(bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8)] ?? 0;
    for (let i = 0; i < 32; i++) result[out + i] = scale * (signed[at + 2 + i] ?? 0);
  }
  return result;
}

/** Blocks of 18 bytes: f16 `d`, 16 bytes; byte i holds q of element i (low half) and of element i + 16; `d * (q - 8)`. */
function decodeQ4(bytes: Bytes, count: number): Floats {
  const table = halfTable();
  const result = new Float32Array(count);
  for (let at = 0, out = 0; out < count; at += 18, out += 32) {
    const scale = table[(bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8)] ?? 0;
    for (let i = 0; i < 16; i++) {
      const pair = bytes[at + 2 + i] ?? 0;
      result[out + i] = scale * ((pair & 15) - 8);
      result[out + 16 + i] = scale * ((pair >>> 4) - 8);
    }
  }
  return result;
}

/** Blocks of 20 bytes: f16 `d`, f16 `m`, 16 bytes as in Q4_0; the value is `d * q + m`. */
function decodeQ4WithMinimum(bytes: Bytes, count: number): Floats {
  const table = halfTable();
  const result = new Float32Array(count);
  for (let at = 0, out = 0; out < count; at += 20, out += 32) {
    const scale = table[(bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8)] ?? 0;
    const minimum = table[(bytes[at + 2] ?? 0) | ((bytes[at + 3] ?? 0) << 8)] ?? 0;
    for (let i = 0; i < 16; i++) {
      const pair = bytes[at + 4 + i] ?? 0;
      result[out + i] = scale * (pair & 15) + minimum;
      result[out + 16 + i] = scale * (pair >>> 4) + minimum;
    }
  }
  return result;
}
