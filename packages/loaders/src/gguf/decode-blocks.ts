import { fromF16Bits } from "@latentkit/core";

/**
 * ggml's block formats that no device keeps as they are, so that they are read as floats only. All numbers are little-endian; d,
 * dmin and m are f16 unless said otherwise.
 *
 * | format | block | bytes | value of element i |
 * | --- | --- | --- | --- |
 * | `Q5_0` | 32 | 22 | `d * (q - 16)`, q from 0 to 31 |
 * | `Q5_1` | 32 | 24 | `d * q + m` |
 * | `Q2_K` | 256 | 84 | `d * s * q - dmin * t`, q from 0 to 3; s and t, from 0 to 15, for each 16 |
 * | `Q3_K` | 256 | 110 | `d * s * q`, q from -4 to 3; s, from -32 to 31, for each 16 |
 * | `Q5_K` | 256 | 176 | `d * s * q - dmin * t`, q from 0 to 31; s and t, from 0 to 63, for each 32 |
 * | `Q8_K` | 256 | 292 | `d * q`, q from -128 to 127, d an f32 |
 *
 * The values are those of the Python package `gguf`, bit for bit: factors are rounded to f32 one by one, as numpy does.
 */
export type BlockFormat = "Q5_0" | "Q5_1" | "Q2_K" | "Q3_K" | "Q5_K" | "Q8_K";

/** Decodes whole blocks. @param bytes as many as `count` elements take */
export function decodeBlocks(
  bytes: Uint8Array,
  format: BlockFormat,
  count: number,
): Float32Array<ArrayBuffer> {
  const out = new Float32Array(count);
  decoders[format](bytes, out);
  return out;
}

const decoders: Readonly<Record<BlockFormat, (bytes: Uint8Array, out: Float32Array) => void>> = {
  Q5_0: (bytes, out) => decodeQ5(bytes, out, false),
  Q5_1: (bytes, out) => decodeQ5(bytes, out, true),
  Q2_K: decodeQ2K,
  Q3_K: decodeQ3K,
  Q5_K: decodeQ5K,
  Q8_K: decodeQ8K,
};

const round = Math.fround;

function half(bytes: Uint8Array, at: number): number {
  return fromF16Bits(byte(bytes, at) | (byte(bytes, at + 1) << 8));
}

function byte(bytes: Uint8Array, at: number): number {
  return bytes[at] ?? 0;
}

/**
 * `d`, for Q5_1 `m`, four bytes with bit i for element i, and 16 bytes with the low four bits: byte i has those of element i in
 * its low half and those of element i + 16 in its high half.
 */
function decodeQ5(bytes: Uint8Array, out: Float32Array, withMinimum: boolean): void {
  const size = withMinimum ? 24 : 22;
  const [head, offset] = withMinimum ? [4, 0] : [2, 16];
  for (let at = 0, to = 0; to < out.length; at += size, to += 32) {
    const d = half(bytes, at);
    // Minus zero is what a sum leaves as it is, the sign of a zero included.
    const m = withMinimum ? half(bytes, at + 2) : -0;
    for (let i = 0; i < 32; i++) {
      const low = (byte(bytes, at + head + 4 + (i & 15)) >>> (i < 16 ? 0 : 4)) & 15;
      const high = (byte(bytes, at + head + (i >>> 3)) >>> (i & 7)) & 1;
      out[to + i] = round(d * ((low | (high << 4)) - offset)) + m;
    }
  }
}

/**
 * 16 bytes of scales, s in the low half and t in the high one, 64 bytes of q, `d`, `dmin`. Each half of a block has 32 bytes of
 * q: elements i, i + 32, i + 64 and i + 96 of it have theirs in byte i, from the lowest bits up.
 */
function decodeQ2K(bytes: Uint8Array, out: Float32Array): void {
  for (let at = 0, to = 0; to < out.length; at += 84, to += 256) {
    const [d, dmin] = [half(bytes, at + 80), half(bytes, at + 82)];
    for (let j = 0; j < 16; j++) {
      const packed = byte(bytes, at + j);
      const [scale, minimum] = [round(d * (packed & 15)), round(dmin * (packed >>> 4))];
      const { from, shift } = quarter(j);
      for (let i = 0; i < 16; i++) {
        const q = (byte(bytes, at + 16 + from + i) >>> shift) & 3;
        out[to + j * 16 + i] = round(scale * q) - minimum;
      }
    }
  }
}

/**
 * 32 bytes of masks, 64 bytes with the low two bits of q as in Q2_K, 12 bytes of scales, `d`. Bit j of mask byte i belongs to
 * element i of the j-th 32, and q is 4 less where it is 0. Scales have their low four bits in bytes 0 to 7, the first eight in
 * low halves, and their high two in bytes 8 to 11.
 */
function decodeQ3K(bytes: Uint8Array, out: Float32Array): void {
  for (let at = 0, to = 0; to < out.length; at += 110, to += 256) {
    const d = half(bytes, at + 108);
    for (let j = 0; j < 16; j++) {
      const low = (byte(bytes, at + 96 + (j & 7)) >>> (j < 8 ? 0 : 4)) & 15;
      const high = (byte(bytes, at + 104 + (j & 3)) >>> (2 * (j >>> 2))) & 3;
      const scale = round(d * ((low | (high << 4)) - 32));
      const { from, shift } = quarter(j);
      const part = (j & 1) * 16;
      for (let i = 0; i < 16; i++) {
        const q = (byte(bytes, at + 32 + from + i) >>> shift) & 3;
        const kept = (byte(bytes, at + part + i) >>> (j >>> 1)) & 1;
        out[to + j * 16 + i] = scale * (q - (kept === 1 ? 0 : 4));
      }
    }
  }
}

/** Where the j-th 16 of a block have their two bits: the first byte, and the bit in each. */
function quarter(j: number): { readonly from: number; readonly shift: number } {
  return { from: (j >>> 3) * 32 + (j & 1) * 16, shift: 2 * ((j >>> 1) & 3) };
}

/**
 * `d`, `dmin`, 12 bytes of scales as in Q4_K, 32 bytes of high bits (bit j of byte i for element i of the j-th 32), and 128 bytes
 * of low ones, of which 32 hold the 2 j-th 32 in their low halves and the next in their high ones.
 */
function decodeQ5K(bytes: Uint8Array, out: Float32Array): void {
  for (let at = 0, to = 0; to < out.length; at += 176, to += 256) {
    const [d, dmin] = [half(bytes, at), half(bytes, at + 2)];
    const packed = (place: number): number => byte(bytes, at + 4 + place);
    for (let j = 0; j < 8; j++) {
      const s = j < 4 ? packed(j) & 63 : (packed(j + 4) & 15) | ((packed(j - 4) >>> 6) << 4);
      const t = j < 4 ? packed(j + 4) & 63 : (packed(j + 4) >>> 4) | ((packed(j) >>> 6) << 4);
      const [scale, minimum] = [round(d * s), round(dmin * t)];
      const from = at + 48 + (j >>> 1) * 32;
      for (let i = 0; i < 32; i++) {
        const low = (byte(bytes, from + i) >>> ((j & 1) * 4)) & 15;
        const high = (byte(bytes, at + 16 + i) >>> j) & 1;
        out[to + j * 32 + i] = round(scale * (low | (high << 4))) - minimum;
      }
    }
  }
}

/** f32 `d`, 256 signed bytes, and 16 sums of 16 each, which only ggml's products need. */
function decodeQ8K(bytes: Uint8Array, out: Float32Array): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 0, to = 0; to < out.length; at += 292, to += 256) {
    const d = view.getFloat32(at, true);
    for (let i = 0; i < 256; i++) out[to + i] = d * view.getInt8(at + 4 + i);
  }
}
