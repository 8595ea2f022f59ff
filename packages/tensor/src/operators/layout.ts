import {
  DTypeError,
  type DType,
  formatShape,
  sameShape,
  ShapeError,
  sizeOf,
  stridesOf,
} from "@latentkit/core";
import { differentiable } from "../autograd/differentiable.ts";
import { refuseInPlace } from "../autograd/in-place.ts";
import { requireShape, resolveAxis, sameDevice, shapeError } from "../checks.ts";
import type { Tensor } from "../tensor.ts";
import { readStrided, requireDType, writeInto } from "./strided.ts";

/**
 * A copy whose axis i is axis `order[i]` of `x`: `out[.., at[order[i]], ..] = x[at]`. Any dtype. The gradient is permuted back.
 *
 * Throws `ShapeError` unless `order` is a permutation of the axes.
 */
export function permute(x: Tensor, order: readonly number[]): Tensor {
  if (order.length !== x.shape.length || x.shape.some((_, axis) => !order.includes(axis))) {
    throw shapeError(
      "permute",
      `order ${formatShape(order)} for shape ${formatShape(x.shape)}`,
      "give each axis once",
    );
  }
  const strides = stridesOf(x.shape);
  const out = readStrided(
    x,
    order.map((axis) => x.shape[axis] ?? 1),
    order.map((axis) => strides[axis] ?? 0),
  );
  return differentiable(out, {
    operator: "permute",
    inputs: [x],
    rule: (gradient) => [
      permute(
        gradient,
        order.map((_, axis) => order.indexOf(axis)),
      ),
    ],
  });
}

/** A copy with the axes `a` and `b` exchanged; the last two unless given. Negative axes count from the end. Any dtype. */
export function transpose(x: Tensor, a = -2, b = -1): Tensor {
  const [first, second] = [
    resolveAxis("transpose", x.shape, a),
    resolveAxis("transpose", x.shape, b),
  ];
  return permute(
    x,
    x.shape.map((_, axis) => (axis === first ? second : axis === second ? first : axis)),
  );
}

/**
 * A copy of `start .. end` (exclusive) along an axis. Any dtype. For the first axis `Tensor.rows` needs no copy. The gradient is
 * 0 outside of the part.
 */
export function slice(
  x: Tensor,
  options: { readonly axis: number; readonly start: number; readonly end: number },
): Tensor {
  const { start, end } = options;
  const axis = resolveAxis("slice", x.shape, options.axis);
  const size = x.shape[axis] ?? 0;
  if (
    !Number.isInteger(start) ||
    !Number.isInteger(end) ||
    start < 0 ||
    end < start ||
    end > size
  ) {
    throw new ShapeError({
      code: "SHAPE_RANGE",
      message: `slice got ${start} .. ${end} along axis ${axis} of shape ${formatShape(x.shape)}`,
      fix: `give integers with 0 <= start <= end <= ${size}`,
    });
  }
  const strides = stridesOf(x.shape);
  const out = readStrided(
    x,
    x.shape.with(axis, end - start),
    strides,
    start * (strides[axis] ?? 0),
  );
  return differentiable(out, {
    operator: "slice",
    inputs: [x],
    rule: (gradient) => {
      const whole = gradient.device.zeros(x.shape);
      copyInto(gradient, whole, { axis, start });
      return [whole];
    },
  });
}

/**
 * One tensor of all, in order, along an axis. Any dtype, the same for all; the other axes are equal. Each tensor's gradient is
 * its part of the gradient.
 */
export function concat(tensors: readonly Tensor[], options: { readonly axis: number }): Tensor {
  const [first] = tensors;
  if (first === undefined) throw shapeError("concat", "no tensors", "give at least one");
  const axis = resolveAxis("concat", first.shape, options.axis);
  const starts: number[] = [];
  let total = 0;
  for (const tensor of tensors) {
    const size = tensor.shape[axis] ?? -1;
    if (!sameShape(first.shape.with(axis, size), tensor.shape)) {
      throw shapeError(
        "concat",
        `shapes ${formatShape(first.shape)} and ${formatShape(tensor.shape)} along axis ${axis}`,
        "make all other axes equal",
      );
    }
    sameDevice("concat", first, tensor);
    requireDType("concat", tensor, first.dtype);
    starts.push(total);
    total += size;
  }
  // Before anything is made: a disposed tensor among them throws here.
  for (const tensor of tensors) void tensor.slice;
  const out = first.device.empty(first.shape.with(axis, total), first.dtype);
  let offset = 0;
  for (const tensor of tensors) {
    writeInto(tensor, out, offset);
    offset += sizeOf(tensor.shape.slice(axis));
  }
  return differentiable(out, {
    operator: "concat",
    inputs: tensors,
    rule: (gradient, { needs }) =>
      tensors.map((tensor, index) => {
        if (needs[index] !== true) return null;
        const start = starts[index] ?? 0;
        const end = start + (tensor.shape[axis] ?? 0);
        return axis === 0 ? gradient.rows(start, end) : slice(gradient, { axis, start, end });
      }),
  });
}

/** A copy in storage of its own. Any dtype. */
export function clone(x: Tensor): Tensor {
  const input = x.slice;
  const out = x.device.empty(x.shape, x.dtype);
  if (x.size > 0) x.device.backend.kernels.convert(input, out.slice);
  return differentiable(out, { operator: "clone", inputs: [x], rule: (gradient) => [gradient] });
}

/**
 * A copy in another dtype. f16 and bf16 are widened to f32 exactly, f32 is rounded to them (nearest, ties to even); i32 is
 * rounded to f32, u8 is exact in it, and f32 goes to i32 or u8 towards zero (beyond their range the nearest that they have, NaN
 * to 0). Between f32, f16 and bf16 the gradient, always f32, passes unchanged; through integers there is none.
 *
 * Throws `DTypeError` for other pairs.
 */
export function convert(x: Tensor, dtype: DType): Tensor {
  const input = x.slice;
  if (x.dtype !== dtype && x.dtype !== "f32" && dtype !== "f32") {
    throw new DTypeError({
      code: "DTYPE_MISMATCH",
      message: `convert got x of dtype ${x.dtype} and shape ${formatShape(x.shape)} to make ${dtype} of`,
      fix: "convert by way of f32",
    });
  }
  const out = x.device.empty(x.shape, dtype);
  if (x.size > 0) x.device.backend.kernels.convert(input, out.slice);
  if (dtype === "i32" || dtype === "u8") return out;
  return differentiable(out, { operator: "convert", inputs: [x], rule: (gradient) => [gradient] });
}

/**
 * Copies `x` into `target` in place, from `start` along an axis, as a KV cache takes new rows. All other axes are equal, and
 * so are the dtypes. No gradient goes through it.
 *
 * Throws `LatentkitError` `AUTOGRAD_IN_PLACE` while a gradient of the target is being recorded.
 */
export function copyInto(
  x: Tensor,
  target: Tensor,
  options: { readonly axis: number; readonly start: number },
): void {
  const { start } = options;
  const axis = resolveAxis("copyInto", target.shape, options.axis);
  const [input, output] = [x.slice, target.slice];
  sameDevice("copyInto", x, target);
  requireDType("copyInto", x, target.dtype);
  const size = x.shape[axis] ?? -1;
  requireShape(
    "copyInto",
    "x",
    x.shape,
    target.shape.with(axis, size),
    `to fit into target of shape ${formatShape(target.shape)} along axis ${axis}`,
  );
  if (!Number.isInteger(start) || start < 0 || start + size > (target.shape[axis] ?? 0)) {
    throw new ShapeError({
      code: "SHAPE_RANGE",
      message: `copyInto got x of shape ${formatShape(x.shape)} at ${start} along axis ${axis}, which does not fit into target of shape ${formatShape(target.shape)}`,
      fix: "give a start that leaves room for x",
    });
  }
  refuseInPlace("copyInto", target);
  const offset = start * (stridesOf(target.shape)[axis] ?? 0);
  if (input.storage !== output.storage) {
    writeInto(x, target, offset);
    return;
  }
  // Kernels may assume that what they read and what they write do not overlap; views of one storage might.
  const copy = clone(x);
  try {
    writeInto(copy, target, offset);
  } finally {
    copy.dispose();
  }
}

/** Sets all elements of a tensor in place. Any dtype. Throws `LatentkitError` `AUTOGRAD_IN_PLACE` as {@link copyInto} does. */
export function fill(x: Tensor, value: number): void {
  const out = x.slice;
  refuseInPlace("fill", x);
  if (x.size > 0) x.device.backend.kernels.fill(out, value);
}
