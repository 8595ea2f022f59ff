import { fromBf16Bits, fromF16Bits } from "./half.ts";

/**
 * How the elements of a weight matrix are stored, with ggml's block layouts for the quantised formats. A block is a run of
 * neighbours in a row; all its numbers are little-endian.
 *
 * | format | block | bytes | value of element i |
 * | --- | --- | --- | --- |
 * | `f32`, `f16`, `bf16` | 1 | 4, 2, 2 | itself |
 * | `q8_0` | 32 | 34 | `d * q`, q from -128 to 127 |
 * | `q4_0` | 32 | 18 | `d * (q - 8)`, q from 0 to 15 |
 * | `q4_1` | 32 | 20 | `d * q + m` |
 * | `q4_k` | 256 | 144 | `d * s * q - dmin * t`; s and t, from 0 to 63, for each 32 |
 * | `q6_k` | 256 | 210 | `d * s * (q - 32)`, q from 0 to 63; s, from -128 to 127, for each 16 |
 *
 * d, m and dmin are f16. The values are those of the Python package `gguf`, bit for bit.
 */
export type StoredFormat = "f32" | "f16" | "bf16" | "q8_0" | "q4_0" | "q4_1" | "q4_k" | "q6_k";

/** Elements and bytes of one block. */
export interface StoredBlock {
  readonly elements: number;
  readonly bytes: number;
}

const blocks: Readonly<Record<StoredFormat, StoredBlock>> = {
  f32: { elements: 1, bytes: 4 },
  f16: { elements: 1, bytes: 2 },
  bf16: { elements: 1, bytes: 2 },
  q8_0: { elements: 32, bytes: 34 },
  q4_0: { elements: 32, bytes: 18 },
  q4_1: { elements: 32, bytes: 20 },
  q4_k: { elements: 256, bytes: 144 },
  q6_k: { elements: 256, bytes: 210 },
};

/** All stored formats, in the order in which they are documented. */
export const storedFormats: readonly StoredFormat[] = [
  "f32",
  "f16",
  "bf16",
  "q8_0",
  "q4_0",
  "q4_1",
  "q4_k",
  "q6_k",
];

/** The block that a format is made of. */
export function storedBlock(format: StoredFormat): StoredBlock {
  return blocks[format];
}

/** Elements of f32, or of f64 where a caller wants no rounding of its own. */
type Floats = Float32Array | Float64Array;

/**
 * Decodes whole blocks. Exact, but for one rounding where a product and a sum do not fit f32 (`q4_1`, `q4_k`).
 *
 * @param bytes whole blocks of the format, as many as `out` has elements for
 */
export function decodeStored(bytes: Uint8Array, format: StoredFormat, out: Floats): void {
  decoders[format](bytes, out);
}

const decoders: Readonly<Record<StoredFormat, (bytes: Uint8Array, out: Floats) => void>> = {
  f32: decodeF32,
  f16: decodeF16,
  bf16: decodeBf16,
  q8_0: decodeQ8,
  q4_0: decodeQ4,
  q4_1: decodeQ4WithMinimum,
  q4_k: decodeQ4K,
  q6_k: decodeQ6K,
};

let halves: Float32Array | undefined;

/** All 65,536 f16 values: one load from here is several times faster than taking the bits apart. */
function halfTable(): Float32Array {
  halves ??= Float32Array.from({ length: 65_536 }, (_, bits) => fromF16Bits(bits));
  return halves;
}

function half(table: Float32Array, bytes: Uint8Array, at: number): number {
  return table[(bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8)] ?? 0;
}

function decodeF32(bytes: Uint8Array, out: Floats): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let i = 0; i < out.length; i++) out[i] = view.getFloat32(4 * i, true);
}

function decodeF16(bytes: Uint8Array, out: Floats): void {
  const table = halfTable();
  for (let i = 0; i < out.length; i++) out[i] = half(table, bytes, 2 * i);
}

function decodeBf16(bytes: Uint8Array, out: Floats): void {
  if (out instanceof Float32Array) {
    const bits = new Uint32Array(out.buffer, out.byteOffset, out.length);
    for (let i = 0; i < out.length; i++)
      bits[i] = ((bytes[2 * i] ?? 0) << 16) | ((bytes[2 * i + 1] ?? 0) << 24);
    return;
  }
  for (let i = 0; i < out.length; i++)
    out[i] = fromBf16Bits((bytes[2 * i] ?? 0) | ((bytes[2 * i + 1] ?? 0) << 8));
}

/** Blocks of f16 `d` and 32 signed bytes. */
function decodeQ8(bytes: Uint8Array, out: Floats): void {
  const table = halfTable();
  for (let at = 0, to = 0; to < out.length; at += 34, to += 32) {
    const scale = half(table, bytes, at);
    for (let i = 0; i < 32; i++) out[to + i] = scale * (((bytes[at + 2 + i] ?? 0) << 24) >> 24);
  }
}

/** Blocks of f16 `d` and 16 bytes; byte i holds q of element i in its low half and of element i + 16 in its high half. */
function decodeQ4(bytes: Uint8Array, out: Floats): void {
  const table = halfTable();
  for (let at = 0, to = 0; to < out.length; at += 18, to += 32) {
    const scale = half(table, bytes, at);
    for (let i = 0; i < 16; i++) {
      const pair = bytes[at + 2 + i] ?? 0;
      out[to + i] = scale * ((pair & 15) - 8);
      out[to + 16 + i] = scale * ((pair >>> 4) - 8);
    }
  }
}

/** Blocks of f16 `d`, f16 `m` and 16 bytes as in `q4_0`. */
function decodeQ4WithMinimum(bytes: Uint8Array, out: Floats): void {
  const table = halfTable();
  for (let at = 0, to = 0; to < out.length; at += 20, to += 32) {
    const scale = half(table, bytes, at);
    const minimum = half(table, bytes, at + 2);
    for (let i = 0; i < 16; i++) {
      const pair = bytes[at + 4 + i] ?? 0;
      out[to + i] = scale * (pair & 15) + minimum;
      out[to + 16 + i] = scale * (pair >>> 4) + minimum;
    }
  }
}

/**
 * Blocks of f16 `d`, f16 `dmin`, 12 bytes of scales and 128 bytes of q: 32 bytes hold sub-block 2 j in their low halves and
 * 2 j + 1 in their high ones. Sub-blocks 0 to 3 have s and t in the low 6 bits of bytes j and j + 4; sub-blocks 4 to 7 have
 * 4 bits of each in byte j + 4 and the other 2 on top of the first eight bytes.
 */
function decodeQ4K(bytes: Uint8Array, out: Floats): void {
  const table = halfTable();
  for (let at = 0, to = 0; to < out.length; at += 144, to += 256) {
    const [d, dmin] = [half(table, bytes, at), half(table, bytes, at + 2)];
    const packed = (place: number): number => bytes[at + 4 + place] ?? 0;
    for (let j = 0; j < 8; j++) {
      const s = j < 4 ? packed(j) & 63 : (packed(j + 4) & 15) | ((packed(j - 4) >>> 6) << 4);
      const t = j < 4 ? packed(j + 4) & 63 : (packed(j + 4) >>> 4) | ((packed(j) >>> 6) << 4);
      const [scale, minimum] = [d * s, dmin * t];
      const from = at + 16 + (j >>> 1) * 32;
      const shift = (j & 1) * 4;
      for (let i = 0; i < 32; i++)
        out[to + j * 32 + i] = scale * (((bytes[from + i] ?? 0) >>> shift) & 15) - minimum;
    }
  }
}

/**
 * Blocks of 128 bytes with the low 4 bits of q, 64 bytes with the high 2, 16 signed scales and f16 `d`. Each half of a block has 64
 * low bytes and 32 high ones: elements i, i + 32, i + 64 and i + 96 of it have their high bits in byte i, from the lowest up.
 */
function decodeQ6K(bytes: Uint8Array, out: Floats): void {
  const table = halfTable();
  for (let at = 0, to = 0; to < out.length; at += 210, to += 256) {
    const d = half(table, bytes, at + 208);
    for (let j = 0; j < 16; j++) {
      const scale = d * (((bytes[at + 192 + j] ?? 0) << 24) >> 24);
      const [upper, quarter, part] = [j >>> 3, (j >>> 1) & 3, (j & 1) * 16];
      const low = at + upper * 64 + (quarter & 1) * 32 + part;
      const high = at + 128 + upper * 32 + part;
      for (let i = 0; i < 16; i++) {
        const four = ((bytes[low + i] ?? 0) >>> ((quarter >>> 1) * 4)) & 15;
        const two = ((bytes[high + i] ?? 0) >>> (2 * quarter)) & 3;
        out[to + j * 16 + i] = scale * ((four | (two << 4)) - 32);
      }
    }
  }
}
