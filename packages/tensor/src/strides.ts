import type { Shape } from "@latentkit/core";

/** A shape with the strides of several operands over it. */
export interface StridedShape {
  readonly shape: number[];
  readonly strides: number[][];
}

/**
 * Drops axes of size 1 and merges neighbours that every operand walks as one, so that kernels see few, long axes: two equal
 * shapes become one axis, a bias over rows becomes two. The elements and their order stay the same, and at least one axis is
 * left.
 */
export function collapseAxes(shape: Shape, strides: readonly (readonly number[])[]): StridedShape {
  const sizes: number[] = [];
  const merged: number[][] = strides.map(() => []);
  for (let axis = 0; axis < shape.length; axis++) {
    const size = shape[axis] ?? 1;
    if (size === 1) continue;
    const last = sizes.length - 1;
    const joins =
      last >= 0 &&
      strides.every((own, operand) => merged[operand]?.[last] === (own[axis] ?? 0) * size);
    if (joins) sizes[last] = (sizes[last] ?? 1) * size;
    else sizes.push(size);
    for (const [operand, own] of strides.entries()) {
      const target = merged[operand];
      if (target !== undefined) target[joins ? last : last + 1] = own[axis] ?? 0;
    }
  }
  return sizes.length > 0
    ? { shape: sizes, strides: merged }
    : { shape: [1], strides: strides.map(() => [1]) };
}

/** Strides by which a tensor of `shape` is read as if it had the broadcast `result` shape: 0 along stretched axes. */
export function broadcastStrides(shape: Shape, result: Shape): number[] {
  const strides = new Array<number>(result.length).fill(0);
  let stride = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    const size = shape[axis] ?? 1;
    if (size !== 1) strides[axis + result.length - shape.length] = stride;
    stride *= size;
  }
  return strides;
}
