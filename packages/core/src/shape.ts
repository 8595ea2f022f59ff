import { ShapeError } from "./errors.ts";

/** Sizes from the outermost axis to the innermost. Tensors are contiguous and row-major. */
export type Shape = readonly number[];

/** Number of elements; 1 for a scalar's empty shape. */
export function sizeOf(shape: Shape): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** Row-major strides, in elements. */
export function stridesOf(shape: Shape): number[] {
  const strides = new Array<number>(shape.length);
  let stride = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    strides[axis] = stride;
    stride *= shape[axis] ?? 1;
  }
  return strides;
}

/** Whether both shapes have the same rank and sizes. */
export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((size, axis) => size === b[axis]);
}

/** `[8, 128, 576]`, as messages write shapes. */
export function formatShape(shape: Shape): string {
  return `[${shape.join(", ")}]`;
}

/** NumPy broadcasting: aligned from the right, 1 stretches. Throws {@link ShapeError} naming both shapes. */
export function broadcastShapes(a: Shape, b: Shape, operator: string): number[] {
  const rank = Math.max(a.length, b.length);
  const result: number[] = [];
  for (let axis = 0; axis < rank; axis++) {
    const left = a[a.length - rank + axis] ?? 1;
    const right = b[b.length - rank + axis] ?? 1;
    if (left !== right && left !== 1 && right !== 1) {
      throw new ShapeError({
        code: "SHAPE_BROADCAST",
        message: `${operator} got shapes ${formatShape(a)} and ${formatShape(b)}, whose axes do not match from the right`,
        fix: "make each pair of sizes equal, or one of them 1",
      });
    }
    result.push(left === 1 ? right : left);
  }
  return result;
}

/** Throws {@link ShapeError} unless `shape` has non-negative integer sizes that fit into an index. */
export function checkShape(shape: Shape, where?: string): void {
  if (
    shape.every((size) => Number.isSafeInteger(size) && size >= 0) &&
    Number.isSafeInteger(sizeOf(shape))
  )
    return;
  throw new ShapeError({
    code: "SHAPE_INVALID",
    message: `shape ${formatShape(shape)} has a size that is not a non-negative integer, or too many elements`,
    fix: "give non-negative integer sizes whose product is below 2^53",
    where,
  });
}
