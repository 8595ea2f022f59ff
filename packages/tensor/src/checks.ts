// What operators check before a kernel runs. Each check names the operator and all shapes involved.

import {
  ConfigError,
  DeviceError,
  type DType,
  DTypeError,
  formatShape,
  sameShape,
  type Shape,
  ShapeError,
} from "@latentkit/core";
import type { Slice } from "./backend.ts";
import type { Tensor } from "./tensor.ts";

/** The slice of an f32 tensor; throws {@link DTypeError} for another dtype and `TENSOR_DISPOSED` for a freed one. */
export function floats(operator: string, x: Tensor, name = "x"): Slice {
  return ofDType(operator, x, "f32", name);
}

/** The slice of an i32 tensor. */
export function integers(operator: string, x: Tensor, name: string): Slice {
  return ofDType(operator, x, "i32", name);
}

function ofDType(operator: string, x: Tensor, dtype: DType, name: string): Slice {
  if (x.dtype === dtype) return x.slice;
  throw new DTypeError({
    code: "DTYPE_MISMATCH",
    message: `${operator} got ${name} of dtype ${x.dtype} and shape ${formatShape(x.shape)}, expected ${dtype}`,
    fix:
      dtype === "f32" && x.dtype !== "i32" && x.dtype !== "u8"
        ? 'widen it first: convert(x, "f32")'
        : `give a tensor of dtype ${dtype}`,
  });
}

/** Throws {@link DeviceError} unless both tensors live on one device. */
export function sameDevice(operator: string, a: Tensor, b: Tensor): void {
  if (a.device === b.device) return;
  throw new DeviceError({
    code: "DEVICE_MISMATCH",
    message: `${operator} got tensors of shapes ${formatShape(a.shape)} and ${formatShape(b.shape)} on two devices (${a.device.info.name}, ${b.device.info.name})`,
    fix: "read one of them and make it again on the other's device",
  });
}

/** Throws {@link ShapeError} unless `x` has the shape that `expected` says; `other` is the shape it has to fit. */
export function requireShape(
  operator: string,
  name: string,
  x: Shape,
  expected: Shape,
  why: string,
): void {
  if (sameShape(x, expected)) return;
  throw shapeError(
    operator,
    `${name} of shape ${formatShape(x)}, expected ${formatShape(expected)} ${why}`,
  );
}

/** Throws {@link ShapeError} unless the rank is right; `layout` names the axes, for example `"[rows, columns]"`. */
export function requireRank(
  operator: string,
  name: string,
  x: Shape,
  rank: number,
  layout: string,
): void {
  if (x.length === rank) return;
  throw shapeError(operator, `${name} of shape ${formatShape(x)}, expected ${layout}`);
}

/** The error that all mismatches between shapes share. */
export function shapeError(
  operator: string,
  got: string,
  fix = "give shapes that fit",
): ShapeError {
  return new ShapeError({ code: "SHAPE_MISMATCH", message: `${operator} got ${got}`, fix });
}

/** Counts a negative axis from the end; throws {@link ShapeError} for one that the shape does not have. */
export function resolveAxis(operator: string, shape: Shape, axis: number): number {
  const resolved = axis < 0 ? axis + shape.length : axis;
  if (Number.isInteger(axis) && resolved >= 0 && resolved < shape.length) return resolved;
  throw new ShapeError({
    code: "SHAPE_AXIS",
    message: `${operator} got axis ${axis} for shape ${formatShape(shape)}`,
    fix: `give an integer from ${-shape.length} to ${shape.length - 1}`,
  });
}

/** Throws {@link ConfigError} `VALUE_RANGE` unless `ok`. */
export function requireValue(
  ok: boolean,
  operator: string,
  name: string,
  value: number,
  expected: string,
): void {
  if (ok) return;
  throw new ConfigError({
    code: "VALUE_RANGE",
    message: `${operator} got ${name} = ${value}, expected ${expected}`,
    fix: `give a ${name} that is ${expected}`,
  });
}

/** Sizes of a tensor seen as `[rows, columns]` with the last axis as columns. Throws for a scalar. */
export function asRows(operator: string, x: Tensor, name = "x"): { rows: number; columns: number } {
  const columns = x.shape[x.shape.length - 1];
  if (columns === undefined)
    throw shapeError(operator, `${name} of shape [], expected at least one axis`);
  return {
    rows:
      columns === 0
        ? x.shape.slice(0, -1).reduce((product, size) => product * size, 1)
        : x.size / columns,
    columns,
  };
}

/** The same for operators that make no sense on rows without elements. */
export function asNonEmptyRows(
  operator: string,
  x: Tensor,
  name = "x",
): { rows: number; columns: number } {
  const sizes = asRows(operator, x, name);
  if (sizes.columns > 0) return sizes;
  throw shapeError(
    operator,
    `${name} of shape ${formatShape(x.shape)}, expected rows of at least one element`,
  );
}
