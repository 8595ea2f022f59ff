import { DTypeError, formatShape } from "@latentkit/core";
import { differentiable } from "../autograd/differentiable.ts";
import type { CompareOperator, LogicalOperator } from "../backend.ts";
import { floats, requireValue, shapeError } from "../checks.ts";
import type { Tensor } from "../tensor.ts";
import {
  type BroadcastPlan,
  broadcastPlan,
  commonShape,
  requireOneDevice,
  sumTo,
  withNumber,
} from "./broadcast.ts";

/** Mask (u8, 0 or 1) of where `a` equals `b`; NaN equals nothing. f32, i32 or u8, both the same; broadcasts; one may be a number. */
export function equal(a: Tensor | number, b: Tensor | number): Tensor {
  return compare("equal", "equal", a, b);
}

/** Mask (u8) of where `a` differs from `b`; NaN differs from everything. Operands as in {@link equal}. */
export function notEqual(a: Tensor | number, b: Tensor | number): Tensor {
  return compare("notEqual", "notEqual", a, b);
}

/** Mask (u8) of `a < b`; false for NaN. Operands as in {@link equal}. */
export function less(a: Tensor | number, b: Tensor | number): Tensor {
  return compare("less", "less", a, b);
}

/** Mask (u8) of `a <= b`; false for NaN. Operands as in {@link equal}. */
export function lessEqual(a: Tensor | number, b: Tensor | number): Tensor {
  return compare("lessEqual", "lessEqual", a, b);
}

/** Mask (u8) of `a > b`; false for NaN. Operands as in {@link equal}. */
export function greater(a: Tensor | number, b: Tensor | number): Tensor {
  return compare("greater", "less", b, a);
}

/** Mask (u8) of `a >= b`; false for NaN. Operands as in {@link equal}. */
export function greaterEqual(a: Tensor | number, b: Tensor | number): Tensor {
  return compare("greaterEqual", "lessEqual", b, a);
}

/** Mask (u8) of f32 numbers that are neither infinite nor NaN. */
export function isFinite(x: Tensor): Tensor {
  const input = floats("isFinite", x);
  const out = x.device.empty(x.shape, "u8");
  if (x.size > 0) x.device.backend.kernels.isFinite(input, out.slice);
  return out;
}

/** Number of elements (f32) that are infinite or NaN, an i32 tensor of shape []. */
export function countNonFinite(x: Tensor): Tensor {
  const input = floats("countNonFinite", x);
  const out = x.device.zeros([], "i32");
  if (x.size > 0) x.device.backend.kernels.countNonFinite(input, out.slice);
  return out;
}

/** `a and b` of masks (u8, any byte but 0 is true); the result has 0 and 1. Broadcasts. */
export function logicalAnd(a: Tensor, b: Tensor): Tensor {
  return logical("logicalAnd", "and", a, b);
}

/** `a or b` of masks (u8). Broadcasts. */
export function logicalOr(a: Tensor, b: Tensor): Tensor {
  return logical("logicalOr", "or", a, b);
}

/** Whether one of two masks (u8) is true and the other is not. Broadcasts. */
export function logicalXor(a: Tensor, b: Tensor): Tensor {
  return logical("logicalXor", "xor", a, b);
}

/** `not x` of a mask (u8). */
export function logicalNot(x: Tensor): Tensor {
  requireMask("logicalNot", x, "x");
  return equal(x, 0);
}

/**
 * `condition ? a : b`, element by element. The condition is a mask (u8, any byte but 0 is true), `a` and `b` are both f32 or both
 * i32, and one or both may be numbers; all three broadcast. The gradient goes to `a` where the condition is true, else to `b`.
 *
 * Throws `ShapeError` naming the shapes that do not fit, `DTypeError` for other dtypes.
 */
export function where(condition: Tensor, a: Tensor | number, b: Tensor | number): Tensor {
  requireMask("where", condition, "condition");
  const dtype = typeof a === "number" ? (typeof b === "number" ? "f32" : b.dtype) : a.dtype;
  return withTensor("where", condition, a, dtype, (whenTrue) =>
    withTensor("where", condition, b, dtype, (whenFalse) => choose(condition, whenTrue, whenFalse)),
  );
}

function choose(condition: Tensor, a: Tensor, b: Tensor): Tensor {
  requireOneDevice("where", [condition, a, b]);
  if (a.dtype !== b.dtype || (a.dtype !== "f32" && a.dtype !== "i32")) {
    throw new DTypeError({
      code: "DTYPE_MISMATCH",
      message: `where got a of dtype ${a.dtype} and shape ${formatShape(a.shape)} and b of dtype ${b.dtype} and shape ${formatShape(b.shape)}, expected both f32 or both i32`,
      fix: "convert one of them",
    });
  }
  const shape = commonShape("where", [condition.shape, a.shape, b.shape]);
  const out = a.device.empty(shape, a.dtype);
  if (out.size > 0) {
    const plan = broadcastPlan([condition.shape, a.shape, b.shape], shape);
    const [conditionStrides = [], aStrides = [], bStrides = []] = plan.strides;
    out.device.backend.kernels.select(
      condition.slice,
      conditionStrides,
      a.slice,
      aStrides,
      b.slice,
      bStrides,
      out.slice,
      plan.shape,
    );
  }
  if (a.dtype === "i32") return out;
  return differentiable(out, {
    operator: "where",
    inputs: [a, b],
    saved: [condition],
    rule: (gradient, { saved: [mask = condition], needs: [needsA, needsB] }) => [
      needsA === true ? sumTo(where(mask, gradient, 0), a.shape) : null,
      needsB === true ? sumTo(where(mask, 0, gradient), b.shape) : null,
    ],
  });
}

function compare(
  name: string,
  operator: CompareOperator,
  a: Tensor | number,
  b: Tensor | number,
): Tensor {
  const tensor = typeof a === "number" ? b : a;
  if (typeof tensor === "number") throw shapeError(name, "two numbers", "give at least one tensor");
  return withTensor(name, tensor, a, tensor.dtype, (left) =>
    withTensor(name, tensor, b, tensor.dtype, (right) => {
      requireOneDevice(name, [left, right]);
      if (left.dtype !== right.dtype || left.dtype === "f16" || left.dtype === "bf16") {
        throw new DTypeError({
          code: "DTYPE_MISMATCH",
          message: `${name} got dtypes ${left.dtype} and ${right.dtype} of shapes ${formatShape(left.shape)} and ${formatShape(right.shape)}, expected both f32, both i32 or both u8`,
          fix: "convert one of them",
        });
      }
      return maskOf(name, left, right, (plan, out) =>
        out.device.backend.kernels.compare(
          operator,
          left.slice,
          plan.strides[0] ?? [],
          right.slice,
          plan.strides[1] ?? [],
          out.slice,
          plan.shape,
        ),
      );
    }),
  );
}

function logical(name: string, operator: LogicalOperator, a: Tensor, b: Tensor): Tensor {
  requireMask(name, a, "a");
  requireMask(name, b, "b");
  requireOneDevice(name, [a, b]);
  return maskOf(name, a, b, (plan, out) =>
    out.device.backend.kernels.logical(
      operator,
      a.slice,
      plan.strides[0] ?? [],
      b.slice,
      plan.strides[1] ?? [],
      out.slice,
      plan.shape,
    ),
  );
}

/** A mask of the common shape, filled by `run` unless it is empty. */
function maskOf(
  name: string,
  a: Tensor,
  b: Tensor,
  run: (plan: BroadcastPlan, out: Tensor) => void,
): Tensor {
  const shape = commonShape(name, [a.shape, b.shape]);
  const out = a.device.empty(shape, "u8");
  if (out.size > 0) run(broadcastPlan([a.shape, b.shape], shape), out);
  return out;
}

/** The tensor, or a scalar of the number while `use` runs. Integers must fit their dtype. */
function withTensor<T>(
  operator: string,
  beside: Tensor,
  value: Tensor | number,
  dtype: Tensor["dtype"],
  use: (tensor: Tensor) => T,
): T {
  if (typeof value !== "number") return use(value);
  if (dtype === "i32" || dtype === "u8") {
    const [low, high] = dtype === "i32" ? [-(2 ** 31), 2 ** 31 - 1] : [0, 255];
    requireValue(
      Number.isInteger(value) && value >= low && value <= high,
      operator,
      "number",
      value,
      `an integer from ${low} to ${high}, beside a tensor of dtype ${dtype}`,
    );
  }
  return withNumber(beside, value, use, dtype);
}

function requireMask(operator: string, x: Tensor, name: string): void {
  if (x.dtype === "u8") return;
  throw new DTypeError({
    code: "DTYPE_MISMATCH",
    message: `${operator} got ${name} of dtype ${x.dtype} and shape ${formatShape(x.shape)}, expected a mask of dtype u8`,
    fix: "make a mask by a comparison, for example notEqual(x, 0)",
  });
}
