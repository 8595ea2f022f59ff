import { sizeOf } from "@latentkit/core";
import type { Kernels } from "../backend.ts";
import { elements } from "./storage.ts";

type MemoryKernels = Pick<Kernels, "fill" | "convert" | "stridedRead" | "stridedWrite">;

export const memoryKernels: MemoryKernels = {
  fill(out, value) {
    const target = elements(out);
    for (let index = 0; index < out.length; index++) target.set(index, value);
  },

  convert(x, out) {
    const source = elements(x);
    const target = elements(out);
    for (let index = 0; index < x.length; index++) target.set(index, source.get(index));
  },

  stridedRead(x, shape, strides, out) {
    const source = elements(x);
    const target = elements(out);
    for (let index = 0; index < sizeOf(shape); index++)
      target.set(index, source.get(stridedIndex(index, shape, strides)));
  },

  stridedWrite(x, shape, strides, out) {
    const source = elements(x);
    const target = elements(out);
    for (let index = 0; index < sizeOf(shape); index++)
      target.set(stridedIndex(index, shape, strides), source.get(index));
  },
};

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
