// Conversions between f32 and the two 16-bit formats, on bits: `Float16Array` exists only from Node 24.

const floats = new Float32Array(1);
const bits = new Uint32Array(floats.buffer);

/** Rounds to the nearest f16, ties to even. Overflow gives infinity; NaN stays NaN. */
export function toF16Bits(value: number): number {
  floats[0] = value;
  const x = bits[0] ?? 0;
  const sign = (x >>> 16) & 0x8000;
  const magnitude = x & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00;
  if (magnitude >= 0x477ff000) return sign | 0x7c00;
  if (magnitude < 0x38800000) {
    if (magnitude < 0x33000000) return sign;
    const exponent = magnitude >>> 23;
    const mantissa = (magnitude & 0x7fffff) | 0x800000;
    const shift = 126 - exponent;
    return sign | roundShift(mantissa, shift);
  }
  return sign | roundShift(magnitude - 0x38000000, 13);
}

/** Reads an f16. Exact. */
export function fromF16Bits(half: number): number {
  const sign = (half & 0x8000) << 16;
  const exponent = (half >>> 10) & 0x1f;
  const mantissa = half & 0x3ff;
  if (exponent === 0) {
    const magnitude = mantissa * 2 ** -24;
    return sign === 0 ? magnitude : -magnitude;
  }
  bits[0] =
    exponent === 31
      ? sign | 0x7f800000 | (mantissa << 13)
      : sign | ((exponent + 112) << 23) | (mantissa << 13);
  return floats[0] ?? 0;
}

/** Rounds to the nearest bf16, ties to even. NaN stays NaN. */
export function toBf16Bits(value: number): number {
  floats[0] = value;
  const x = bits[0] ?? 0;
  if ((x & 0x7fffffff) > 0x7f800000) return (x >>> 16) | 0x40;
  return (x + 0x7fff + ((x >>> 16) & 1)) >>> 16;
}

/** Reads a bf16. Exact. */
export function fromBf16Bits(half: number): number {
  bits[0] = half << 16;
  return floats[0] ?? 0;
}

/** `value >> shift`, rounded to nearest with ties to even. */
function roundShift(value: number, shift: number): number {
  const kept = value >>> shift;
  const rest = value & ((1 << shift) - 1);
  const half = 1 << (shift - 1);
  return rest > half || (rest === half && (kept & 1) === 1) ? kept + 1 : kept;
}
