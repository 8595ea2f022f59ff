import {
  DTypeError,
  type DType,
  formatShape,
  sameShape,
  type Shape,
  ShapeError,
  sizeOf,
  stridesOf,
} from "@latentkit/core";
import type { Slice } from "../backend.ts";
import { requireShape, resolveAxis, sameDevice, shapeError } from "../checks.ts";
import { collapseAxes } from "../strides.ts";
import type { Tensor } from "../tensor.ts";

/** A copy whose axis i is axis `order[i]` of `x`. Any dtype. Throws `ShapeError` unless `order` is a permutation. */
export function permute(x: Tensor, order: readonly number[]): Tensor {
  const input = x.slice;
  if (order.length !== x.shape.length || x.shape.some((_, axis) => !order.includes(axis))) {
    throw shapeError(
      "permute",
      `order ${formatShape(order)} for shape ${formatShape(x.shape)}`,
      "give each axis once",
    );
  }
  const strides = stridesOf(x.shape);
  const shape = order.map((axis) => x.shape[axis] ?? 1);
  return readStrided(
    x,
    input,
    shape,
    order.map((axis) => strides[axis] ?? 0),
  );
}

/** A copy of `start .. end` (exclusive) along an axis. Any dtype. For the first axis `Tensor.rows` needs no copy. */
export function slice(
  x: Tensor,
  options: { readonly axis: number; readonly start: number; readonly end: number },
): Tensor {
  const { start, end } = options;
  const input = x.slice;
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
  const offset = start * (strides[axis] ?? 0);
  return readStrided(
    x,
    part(input, offset, input.length - offset),
    x.shape.with(axis, end - start),
    strides,
  );
}

/** One tensor of all, in order, along an axis. Any dtype, the same for all; the other axes are equal. */
export function concat(tensors: readonly Tensor[], options: { readonly axis: number }): Tensor {
  const [first] = tensors;
  if (first === undefined) throw shapeError("concat", "no tensors", "give at least one");
  const axis = resolveAxis("concat", first.shape, options.axis);
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
    total += size;
  }
  const inputs = tensors.map((tensor) => tensor.slice);
  const shape = first.shape.with(axis, total);
  const out = first.device.empty(shape, first.dtype);
  let offset = 0;
  for (const [index, tensor] of tensors.entries()) {
    const input = inputs[index];
    if (tensor.size > 0 && input !== undefined) writeStrided(tensor, input, out, offset);
    offset += sizeOf(tensor.shape.slice(axis));
  }
  return out;
}

/** A copy in storage of its own. Any dtype. */
export function clone(x: Tensor): Tensor {
  const input = x.slice;
  const out = x.device.empty(x.shape, x.dtype);
  if (x.size > 0) x.device.backend.kernels.convert(input, out.slice);
  return out;
}

/**
 * A copy in another dtype: f16 and bf16 to f32, and f32 to them (nearest, ties to even).
 * Throws `DTypeError` for other pairs.
 */
export function convert(x: Tensor, dtype: DType): Tensor {
  const input = x.slice;
  const half = (name: DType): boolean => name === "f16" || name === "bf16";
  if (
    x.dtype !== dtype &&
    !(x.dtype === "f32" && half(dtype)) &&
    !(half(x.dtype) && dtype === "f32")
  ) {
    throw new DTypeError({
      code: "DTYPE_MISMATCH",
      message: `convert got x of dtype ${x.dtype} and shape ${formatShape(x.shape)} to make ${dtype} of`,
      fix: "convert between f32 and f16 or bf16; for others read the tensor and make it again",
    });
  }
  const out = x.device.empty(x.shape, dtype);
  if (x.size > 0) x.device.backend.kernels.convert(input, out.slice);
  return out;
}

/**
 * Copies `x` into `target` in place, from `start` along an axis, as a KV cache takes new rows. All other axes are equal, and
 * so are the dtypes.
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
  if (x.size === 0) return;
  const offset = start * (stridesOf(target.shape)[axis] ?? 0);
  if (input.storage !== output.storage) {
    writeStrided(x, input, target, offset);
    return;
  }
  // Kernels may assume that what they read and what they write do not overlap; views of one storage might.
  const copy = clone(x);
  try {
    writeStrided(copy, copy.slice, target, offset);
  } finally {
    copy.dispose();
  }
}

/** Sets all elements of a tensor in place. Any dtype. */
export function fill(x: Tensor, value: number): void {
  const out = x.slice;
  if (x.size > 0) x.device.backend.kernels.fill(out, value);
}

function requireDType(operator: string, x: Tensor, dtype: DType): void {
  if (x.dtype === dtype) return;
  throw new DTypeError({
    code: "DTYPE_MISMATCH",
    message: `${operator} got tensors of dtypes ${dtype} and ${x.dtype} (shape ${formatShape(x.shape)})`,
    fix: "convert one of them first",
  });
}

function readStrided(x: Tensor, input: Slice, shape: Shape, strides: readonly number[]): Tensor {
  const out = x.device.empty(shape, x.dtype);
  if (out.size === 0) return out;
  const plan = collapseAxes(shape, [strides]);
  x.device.backend.kernels.stridedRead(input, plan.shape, plan.strides[0] ?? [], out.slice);
  return out;
}

/** Writes `x`, whose slice is `input`, into `target` from an element offset on. */
function writeStrided(x: Tensor, input: Slice, target: Tensor, offset: number): void {
  const output = target.slice;
  const plan = collapseAxes(x.shape, [stridesOf(target.shape)]);
  x.device.backend.kernels.stridedWrite(
    input,
    plan.shape,
    plan.strides[0] ?? [],
    part(output, offset, output.length - offset),
  );
}

function part(whole: Slice, offset: number, length: number): Slice {
  return { storage: whole.storage, offset: whole.offset + offset, length, dtype: whole.dtype };
}
