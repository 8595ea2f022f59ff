// Copies between contiguous tensors and strided views of them, without a record on the tape.
import { DTypeError, type DType, formatShape, type Shape, stridesOf } from "@latentkit/core";
import type { Slice } from "../backend.ts";
import { collapseAxes } from "../strides.ts";
import type { Tensor } from "../tensor.ts";

/** A new tensor whose element (i, j, ..) is the one of `x` at `start + sum(index * strides)`. Strides may be 0 or negative. */
export function readStrided(
  x: Tensor,
  shape: Shape,
  strides: readonly number[],
  start = 0,
): Tensor {
  const input = x.slice;
  const out = x.device.empty(shape, x.dtype);
  if (out.size === 0) return out;
  const plan = collapseAxes(shape, [strides]);
  x.device.backend.kernels.stridedRead(input, plan.shape, plan.strides[0] ?? [], out.slice, start);
  return out;
}

/** Writes `x` into the part of `target` that begins at element `offset` and has the shape of `x`. */
export function writeInto(x: Tensor, target: Tensor, offset: number): void {
  if (x.size === 0) return;
  const output = target.slice;
  const plan = collapseAxes(x.shape, [stridesOf(target.shape)]);
  x.device.backend.kernels.stridedWrite(
    x.slice,
    plan.shape,
    plan.strides[0] ?? [],
    part(output, offset, output.length - offset),
  );
}

/** A part of a slice. */
export function part(whole: Slice, offset: number, length: number): Slice {
  return { storage: whole.storage, offset: whole.offset + offset, length, dtype: whole.dtype };
}

/** Throws {@link DTypeError} unless `x` has the dtype of the others. */
export function requireDType(operator: string, x: Tensor, dtype: DType): void {
  if (x.dtype === dtype) return;
  throw new DTypeError({
    code: "DTYPE_MISMATCH",
    message: `${operator} got tensors of dtypes ${dtype} and ${x.dtype} (shape ${formatShape(x.shape)})`,
    fix: "convert one of them first",
  });
}
