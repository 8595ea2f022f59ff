// Broadcasting without a record on the tape: what the operators and the rules of their gradients are made of.
import { broadcastShapes, type DType, sameShape, type Shape, sizeOf } from "@latentkit/core";
import type { BinaryOperator } from "../backend.ts";
import { sameDevice } from "../checks.ts";
import { broadcastStrides, collapseAxes } from "../strides.ts";
import type { Tensor } from "../tensor.ts";
import { reducedBlocks } from "./axes.ts";

/** Strides of several operands over the shape that they broadcast to, with as few axes as possible. */
export interface BroadcastPlan {
  readonly shape: readonly number[];
  readonly strides: readonly (readonly number[])[];
}

/** How operands of the given shapes are walked as if each had the shape `result`, to which they broadcast. */
export function broadcastPlan(shapes: readonly Shape[], result: Shape): BroadcastPlan {
  if (shapes.every((shape) => sameShape(shape, result)))
    return { shape: [sizeOf(result)], strides: shapes.map(() => [1]) };
  return collapseAxes(
    result,
    shapes.map((shape) => broadcastStrides(shape, result)),
  );
}

/** The shape that all broadcast to. Throws `ShapeError` naming the first two that do not fit. */
export function commonShape(operator: string, shapes: readonly Shape[]): Shape {
  return shapes.reduce((common, shape) =>
    sameShape(common, shape) ? common : broadcastShapes(common, shape, operator),
  );
}

/** `a OP b` into a new tensor of `shape`, to which both broadcast; both are f32. */
export function broadcastBinary(
  operator: BinaryOperator,
  a: Tensor,
  b: Tensor,
  shape: Shape = commonShape(operator, [a.shape, b.shape]),
): Tensor {
  const out = a.device.empty(shape);
  if (out.size === 0) return out;
  const plan = broadcastPlan([a.shape, b.shape], shape);
  const [aStrides = [], bStrides = []] = plan.strides;
  a.device.backend.kernels.binary(
    operator,
    a.slice,
    aStrides,
    b.slice,
    bStrides,
    out.slice,
    plan.shape,
  );
  return out;
}

/** `x * factor` repeated to `shape`, to which `x` broadcasts: the gradient of a sum. */
export function expandTo(x: Tensor, shape: Shape, factor = 1): Tensor {
  if (factor === 1 && sameShape(x.shape, shape)) return x;
  return withNumber(x, factor, (number) => broadcastBinary("mul", x, number, shape));
}

/** The sum over the axes along which a tensor of `shape` was repeated: the gradient of broadcasting. */
export function sumTo(x: Tensor, shape: Shape): Tensor {
  if (sameShape(x.shape, shape)) return x;
  const ahead = x.shape.length - shape.length;
  const axes = [...x.shape.keys()].filter(
    (axis) => axis < ahead || (shape[axis - ahead] === 1 && x.shape[axis] !== 1),
  );
  if (x.size === 0) return x.device.zeros(shape);
  let source = x;
  for (const { outer, size, inner } of reducedBlocks(x.shape, axes)) {
    const next = x.device.empty([outer, inner]);
    x.device.backend.kernels.reduce("sum", source.slice, outer, size, inner, next.slice);
    if (source !== x) source.dispose();
    source = next;
  }
  const result = source.reshape(shape);
  if (source !== x) source.dispose();
  return result;
}

/** Runs `use` with a scalar tensor of the value, on the device of `beside`, and frees it. */
export function withNumber<T>(
  beside: Tensor,
  value: number,
  use: (number: Tensor) => T,
  dtype: DType = "f32",
): T {
  const number = beside.device.empty([], dtype);
  try {
    number.device.backend.kernels.fill(number.slice, value);
    return use(number);
  } finally {
    number.dispose();
  }
}

/** Throws `DeviceError` unless all live on one device. */
export function requireOneDevice(operator: string, tensors: readonly Tensor[]): void {
  const [first, ...others] = tensors;
  if (first !== undefined) for (const other of others) sameDevice(operator, first, other);
}
