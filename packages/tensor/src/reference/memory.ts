import { type DType, sizeOf } from "@latentkit/core";
import type { MemoryKernels } from "../backend.ts";
import { elements } from "./storage.ts";

export const memoryKernels: MemoryKernels = {
  fill(out, value) {
    const target = elements(out);
    for (let index = 0; index < out.length; index++) target.set(index, value);
  },

  convert(x, out) {
    const source = elements(x);
    const target = elements(out);
    const fit = x.dtype === out.dtype ? same : fitting(out.dtype);
    for (let index = 0; index < x.length; index++) target.set(index, fit(source.get(index)));
  },

  stridedRead(x, shape, strides, out, start = 0) {
    const source = elements(x);
    const target = elements(out);
    for (let index = 0; index < sizeOf(shape); index++)
      target.set(index, source.get(start + stridedIndex(index, shape, strides)));
  },

  stridedWrite(x, shape, strides, out) {
    const source = elements(x);
    const target = elements(out);
    for (let index = 0; index < sizeOf(shape); index++)
      target.set(stridedIndex(index, shape, strides), source.get(index));
  },
};

const same = (value: number): number => value;

/** What brings a float into the range of a dtype: integers are cut towards zero, NaN is 0. */
function fitting(dtype: DType): (value: number) => number {
  const clamp = (low: number, high: number) => (value: number) =>
    Number.isNaN(value) ? 0 : Math.min(high, Math.max(low, Math.trunc(value)));
  if (dtype === "i32") return clamp(-(2 ** 31), 2 ** 31 - 1);
  return dtype === "u8" ? clamp(0, 255) : same;
}

/** Where the element that is `index`-th in row-major order over `shape` lies, by strides. */
export function stridedIndex(
  index: number,
  shape: readonly number[],
  strides: readonly number[],
): number {
  let rest = index;
  let position = 0;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    const size = shape[axis] ?? 1;
    position += (rest % size) * (strides[axis] ?? 0);
    rest = Math.floor(rest / size);
  }
  return position;
}
