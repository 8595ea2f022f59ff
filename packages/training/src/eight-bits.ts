import { sizeOf, type Shape } from "@latentkit/core";

/** Weights in 8 bits each, and a scale for every {@link blockLength} of them along the last axis. */
export interface EightBits {
  /** `round(weight / scale) + 128`, of the weights' shape. */
  readonly codes: Uint8Array;
  /** The weights' shape, the last axis counted in blocks. */
  readonly scales: Float32Array;
  readonly scalesShape: Shape;
}

/** Weights that share a scale; the last block of a row may be shorter. */
const blockLength = 64;
const largestCode = 127;
const zeroCode = 128;
/** Below it, 16 bits would reach under f32's normal numbers. */
const smallestScale = 2 ** -107;

/**
 * Rounds weights to 8 bits, symmetrically about 0: by at most 1/254 of the largest one of their block. Rounding what was rounded
 * changes nothing, because 127 times a scale, which has 16 significant bits, has no more bits than an f32.
 */
export function toEightBits(weights: Float32Array, shape: Shape): EightBits {
  const { length, rows, blocks } = blocksOf(shape);
  const codes = new Uint8Array(weights.length);
  const scales = new Float32Array(rows * blocks);
  for (let row = 0; row < rows; row++) {
    for (let block = 0; block < blocks; block++) {
      const start = row * length + block * blockLength;
      const end = row * length + Math.min(length, (block + 1) * blockLength);
      const scale = scaleOf(weights, start, end);
      scales[row * blocks + block] = scale;
      for (let index = start; index < end; index++)
        codes[index] = scale === 0 ? zeroCode : code((weights[index] ?? 0) / scale);
    }
  }
  return { codes, scales, scalesShape: [...shape.slice(0, -1), blocks] };
}

/** The weights that {@link toEightBits} rounded to. */
export function fromEightBits(
  { codes, scales }: Pick<EightBits, "codes" | "scales">,
  shape: Shape,
): Float32Array {
  const { length, rows, blocks } = blocksOf(shape);
  const weights = new Float32Array(codes.length);
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < length; column++) {
      const index = row * length + column;
      const scale = scales[row * blocks + Math.floor(column / blockLength)] ?? 0;
      weights[index] = ((codes[index] ?? zeroCode) - zeroCode) * scale;
    }
  return weights;
}

function blocksOf(shape: Shape): { length: number; rows: number; blocks: number } {
  const length = shape.at(-1) ?? 1;
  const rows = length === 0 ? 0 : sizeOf(shape) / length;
  return { length, rows, blocks: Math.ceil(length / blockLength) };
}

/** Largest magnitude over 127, rounded to 16 significant bits (of weights below 1e-30: 0). */
function scaleOf(weights: Float32Array, start: number, end: number): number {
  let largest = 0;
  for (let index = start; index < end; index++)
    largest = Math.max(largest, Math.abs(weights[index] ?? 0));
  if (largest === 0) return 0;
  const exact = largest / largestCode;
  const unit = 2 ** (Math.floor(Math.log2(exact)) - 15);
  const scale = Math.round(exact / unit) * unit;
  return scale < smallestScale ? 0 : scale;
}

function code(quotient: number): number {
  return zeroCode + Math.max(-largestCode, Math.min(largestCode, Math.round(quotient)));
}
