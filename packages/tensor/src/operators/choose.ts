// Reductions that choose: their results are integers and masks, without a gradient.
import { DTypeError, formatShape, sizeOf } from "@latentkit/core";
import { floats, resolveAxis, shapeError } from "../checks.ts";
import type { Tensor } from "../tensor.ts";
import { droppedShape, keptShape, reducedBlocks, resolveAxes } from "./axes.ts";
import type { ReduceOptions } from "./reduce.ts";

/** The axis of {@link argmax} and {@link argmin}. */
export interface ArgOptions {
  /** The last one by default; a negative one counts from the end. */
  readonly axis?: number | undefined;
  /** Whether the axis stays, with size 1. */
  readonly keepDims?: boolean | undefined;
}

/**
 * Index (i32) of the largest element along an axis, the first of equals. NaN counts as -infinity.
 * Throws `ShapeError` if the axis is missing or empty.
 */
export function argmax(x: Tensor, options: ArgOptions = {}): Tensor {
  return argReduce("argmax", "max", x, options);
}

/**
 * Index (i32) of the smallest element along an axis, the first of equals. NaN counts as infinity.
 * Throws `ShapeError` if the axis is missing or empty.
 */
export function argmin(x: Tensor, options: ArgOptions = {}): Tensor {
  return argReduce("argmin", "min", x, options);
}

/** Whether any element of a mask (u8) is not 0: a mask; 0 over no elements. */
export function any(x: Tensor, options: ReduceOptions = {}): Tensor {
  return reduceMask("any", x, options);
}

/** Whether each element of a mask (u8) is not 0: a mask; 1 over no elements. */
export function all(x: Tensor, options: ReduceOptions = {}): Tensor {
  return reduceMask("all", x, options);
}

function argReduce(
  name: string,
  operator: "max" | "min",
  x: Tensor,
  { axis = -1, keepDims = false }: ArgOptions,
): Tensor {
  const input = floats(name, x);
  if (x.shape.length === 0) throw shapeError(name, "x of shape [], expected at least one axis");
  const at = resolveAxis(name, x.shape, axis);
  const size = x.shape[at] ?? 0;
  if (size === 0) {
    throw shapeError(
      name,
      `x of shape ${formatShape(x.shape)}, expected at least one element along axis ${at}`,
    );
  }
  const out = x.device.empty(keepDims ? x.shape.with(at, 1) : x.shape.toSpliced(at, 1), "i32");
  if (out.size > 0)
    x.device.backend.kernels.argReduce(
      operator,
      input,
      sizeOf(x.shape.slice(0, at)),
      size,
      sizeOf(x.shape.slice(at + 1)),
      out.slice,
    );
  return out;
}

function reduceMask(
  operator: "all" | "any",
  x: Tensor,
  { axis, keepDims = false }: ReduceOptions,
): Tensor {
  if (x.dtype !== "u8") {
    throw new DTypeError({
      code: "DTYPE_MISMATCH",
      message: `${operator} got x of dtype ${x.dtype} and shape ${formatShape(x.shape)}, expected a mask of dtype u8`,
      fix: "make a mask by a comparison, for example notEqual(x, 0)",
    });
  }
  const { device } = x;
  const axes = resolveAxes(operator, x.shape, axis);
  const shape = (keepDims ? keptShape : droppedShape)(x.shape, axes);
  const out = device.empty(shape, "u8");
  if (out.size === 0) return out;
  if (x.size === 0) {
    device.backend.kernels.fill(out.slice, operator === "all" ? 1 : 0);
    return out;
  }
  const blocks = reducedBlocks(x.shape, axes);
  let source = x;
  for (const [index, { outer, size, inner }] of blocks.entries()) {
    const next = index === blocks.length - 1 ? out : device.empty([outer, inner], "u8");
    device.backend.kernels.reduceMask(operator, source.slice, outer, size, inner, next.slice);
    if (source !== x) source.dispose();
    source = next;
  }
  return out;
}
