import { bytesPerElement, ConfigError, sizeOf, toBf16Bits, toF16Bits } from "@latentkit/core";
import type { DType, Shape } from "@latentkit/core";

/** A tensor to be written. */
export interface TensorToWrite {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: Shape;
  /**
   * The elements: bytes as they shall be stored, or floats (rounded to f16 or bf16 where the dtype says so), or integers for i32.
   */
  readonly bytes: Uint8Array | Float32Array | Int32Array;
}

// The order of the reference implementation's dtypes, widest first: it keeps every tensor aligned to its elements.
const formats: Readonly<Record<DType, { readonly name: string; readonly rank: number }>> = {
  f32: { name: "F32", rank: 0 },
  i32: { name: "I32", rank: 1 },
  bf16: { name: "BF16", rank: 2 },
  f16: { name: "F16", rank: 3 },
  u8: { name: "U8", rank: 4 },
};

/**
 * The pieces of a safetensors file in their order: header first, then one piece a tensor. The bytes depend on the tensors and
 * metadata alone, not on their order, and equal those of Hugging Face's own writer (which shuffles more than one metadata key;
 * here they are sorted).
 *
 * Throws {@link ConfigError} `TENSOR_TO_WRITE` for a repeated or reserved name or for data that does not fill the shape.
 */
export function safetensorsPieces(
  tensors: readonly TensorToWrite[],
  metadata: Readonly<Record<string, string>> = {},
): { readonly pieces: readonly (() => Uint8Array)[]; readonly byteLength: number } {
  const ordered = [...tensors].sort(
    (a, b) => formats[a.dtype].rank - formats[b.dtype].rank || (a.name < b.name ? -1 : 1),
  );
  const parts: string[] = [];
  const keys = Object.keys(metadata).sort();
  if (keys.length > 0) {
    parts.push(
      `"__metadata__":{${keys.map((key) => `${JSON.stringify(key)}:${JSON.stringify(metadata[key])}`).join(",")}}`,
    );
  }
  const seen = new Set(["__metadata__"]);
  let offset = 0;
  for (const { name, dtype, shape, bytes } of ordered) {
    if (seen.has(name)) throw writeError(name, "the name is used twice or reserved");
    seen.add(name);
    const length = sizeOf(shape) * bytesPerElement(dtype);
    checkData(name, dtype, length, bytes);
    const fields = `"dtype":"${formats[dtype].name}","shape":[${shape.join(",")}],"data_offsets":[${offset},${offset + length}]`;
    parts.push(`${JSON.stringify(name)}:{${fields}}`);
    offset += length;
  }
  const header = encodeHeader(`{${parts.join(",")}}`);
  return {
    pieces: [() => header, ...ordered.map((tensor) => () => storedBytes(tensor))],
    byteLength: header.length + offset,
  };
}

/** A whole safetensors file in memory. See {@link TensorToWrite}; `writeSafetensors` of `./node` writes one tensor at a time. */
export function encodeSafetensors(
  tensors: readonly TensorToWrite[],
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array<ArrayBuffer> {
  const { pieces, byteLength } = safetensorsPieces(tensors, metadata);
  const file = new Uint8Array(byteLength);
  let at = 0;
  for (const piece of pieces) {
    const bytes = piece();
    file.set(bytes, at);
    at += bytes.length;
  }
  return file;
}

/** Length, JSON, and spaces up to a multiple of 8, so that the data starts aligned. */
function encodeHeader(json: string): Uint8Array {
  const text = new TextEncoder().encode(json);
  const padded = Math.ceil(text.length / 8) * 8;
  const header = new Uint8Array(8 + padded).fill(0x20);
  new DataView(header.buffer).setBigUint64(0, BigInt(padded), true);
  header.set(text, 8);
  return header;
}

function checkData(name: string, dtype: DType, length: number, data: TensorToWrite["bytes"]): void {
  const floats = data instanceof Float32Array;
  if (floats && (dtype === "i32" || dtype === "u8"))
    throw writeError(name, `floats were given for dtype ${dtype}`);
  if (data instanceof Int32Array && dtype !== "i32")
    throw writeError(name, `32-bit integers were given for dtype ${dtype}`);
  const given = floats ? data.length * bytesPerElement(dtype) : data.byteLength;
  if (given !== length)
    throw writeError(name, `shape and dtype take ${length} bytes, but ${given} were given`);
}

function storedBytes({ dtype, bytes }: TensorToWrite): Uint8Array {
  if (bytes instanceof Float32Array && (dtype === "f16" || dtype === "bf16")) {
    const convert = dtype === "f16" ? toF16Bits : toBf16Bits;
    return new Uint8Array(Uint16Array.from(bytes, convert).buffer);
  }
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function writeError(name: string, message: string): ConfigError {
  return new ConfigError({
    code: "TENSOR_TO_WRITE",
    message: `tensor "${name}": ${message}`,
    fix: "give each tensor its own name, and data that fills its shape in its dtype",
  });
}
