import { sizeOf, stridesOf } from "@latentkit/core";

/** The part of a tensor that says where its elements lie. */
interface Strided {
  readonly shape: readonly number[];
  readonly strides: readonly number[];
}

/** Elements from the first to the last, both included; 0 for none. */
export function spanOf({ shape, strides }: Strided): number {
  if (shape.includes(0)) return 0;
  return shape.reduce((last, size, axis) => last + (size - 1) * (strides[axis] ?? 0), 0) + 1;
}

/** Whether elements follow each other row by row. Axes of one entry may have any stride. */
export function isContiguous(shape: readonly number[], strides: readonly number[]): boolean {
  const dense = stridesOf(shape);
  return shape.every((size, axis) => size <= 1 || strides[axis] === dense[axis]);
}

/**
 * Elements row by row, from a span in which they lie by `strides`.
 *
 * @param span from the first element on
 * @param width bytes of an element: 1, 2, 4 or 8
 */
export function gather(
  span: Uint8Array<ArrayBuffer>,
  shape: readonly number[],
  strides: readonly number[],
  width: number,
): Uint8Array<ArrayBuffer> {
  // Eight bytes as two numbers of four: copied as floats, a NaN may change its bits.
  if (width === 8)
    return gather(span, [...shape, 2], [...strides.map((stride) => 2 * stride), 1], 4);
  const result = new Uint8Array(sizeOf(shape) * width);
  // Typed arrays need an offset that is a multiple of the width.
  const even = span.byteOffset % width === 0 ? span : span.slice();
  copy(elementsOf(even, width), elementsOf(result, width), shape, strides);
  return result;
}

type Elements = Uint16Array | Uint32Array | Uint8Array;

function elementsOf(bytes: Uint8Array<ArrayBuffer>, width: number): Elements {
  const { buffer, byteOffset, byteLength } = bytes;
  if (width === 4) return new Uint32Array(buffer, byteOffset, byteLength / 4);
  return width === 2 ? new Uint16Array(buffer, byteOffset, byteLength / 2) : bytes;
}

function copy(
  from: Elements,
  to: Elements,
  shape: readonly number[],
  strides: readonly number[],
): void {
  const inner = shape.at(-1) ?? 1;
  const innerStride = strides.at(-1) ?? 0;
  const outer = shape.slice(0, -1);
  const index = outer.map(() => 0);
  const rows = sizeOf(outer);
  for (let row = 0; row < rows; row++) {
    let start = 0;
    for (let axis = 0; axis < index.length; axis++)
      start += (index[axis] ?? 0) * (strides[axis] ?? 0);
    for (let column = 0; column < inner; column++)
      to[row * inner + column] = from[start + column * innerStride] ?? 0;
    for (let axis = index.length - 1; axis >= 0; axis--) {
      index[axis] = (index[axis] ?? 0) + 1;
      if ((index[axis] ?? 0) < (outer[axis] ?? 0)) break;
      index[axis] = 0;
    }
  }
}
