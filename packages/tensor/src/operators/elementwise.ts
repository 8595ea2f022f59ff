import { broadcastShapes, formatShape, sameShape } from "@latentkit/core";
import type { BinaryOperator, UnaryOperator } from "../backend.ts";
import { floats, sameDevice, shapeError } from "../checks.ts";
import { broadcastStrides, collapseAxes } from "../strides.ts";
import type { Tensor } from "../tensor.ts";

function unary(operator: UnaryOperator, x: Tensor): Tensor {
  const input = floats(operator, x);
  const out = x.device.empty(x.shape);
  if (x.size > 0) x.device.backend.kernels.unary(operator, input, out.slice);
  return out;
}

/** Absolute value. */
export function abs(x: Tensor): Tensor {
  return unary("abs", x);
}

/** e to the x. */
export function exp(x: Tensor): Tensor {
  return unary("exp", x);
}

/** Exact GELU, `x * (1 + erf(x / sqrt 2)) / 2`. */
export function gelu(x: Tensor): Tensor {
  return unary("gelu", x);
}

/** GELU by its tanh approximation, as GPT-2 and Gemma have it. */
export function geluTanh(x: Tensor): Tensor {
  return unary("geluTanh", x);
}

/** Natural logarithm: -infinity at 0, NaN below. */
export function log(x: Tensor): Tensor {
  return unary("log", x);
}

/** `-x`. */
export function neg(x: Tensor): Tensor {
  return unary("neg", x);
}

/** `max(x, 0)`; NaN stays NaN. */
export function relu(x: Tensor): Tensor {
  return unary("relu", x);
}

/** `1 / sqrt(x)`. */
export function rsqrt(x: Tensor): Tensor {
  return unary("rsqrt", x);
}

/** `1 / (1 + e^-x)`. */
export function sigmoid(x: Tensor): Tensor {
  return unary("sigmoid", x);
}

/** `x * sigmoid(x)`. */
export function silu(x: Tensor): Tensor {
  return unary("silu", x);
}

/** Square root; NaN below 0. */
export function sqrt(x: Tensor): Tensor {
  return unary("sqrt", x);
}

/** `x * x`. */
export function square(x: Tensor): Tensor {
  return unary("square", x);
}

/** Hyperbolic tangent. */
export function tanh(x: Tensor): Tensor {
  return unary("tanh", x);
}

/** `x * factor + bias`, both numbers. */
export function affine(
  x: Tensor,
  options: { readonly factor: number; readonly bias: number },
): Tensor {
  const input = floats("affine", x);
  const out = x.device.empty(x.shape);
  if (x.size > 0) x.device.backend.kernels.affine(input, options.factor, options.bias, out.slice);
  return out;
}

/** `silu(gate) * up`, the gated MLP of the Llama family. Equal shapes. */
export function siluMul(gate: Tensor, up: Tensor): Tensor {
  const [gateSlice, upSlice] = [floats("siluMul", gate, "gate"), floats("siluMul", up, "up")];
  sameDevice("siluMul", gate, up);
  if (!sameShape(gate.shape, up.shape)) {
    throw shapeError(
      "siluMul",
      `gate of shape ${formatShape(gate.shape)} and up of shape ${formatShape(up.shape)}`,
      "give equal shapes",
    );
  }
  const out = gate.device.empty(gate.shape);
  if (out.size > 0) gate.device.backend.kernels.siluMul(gateSlice, upSlice, out.slice);
  return out;
}

/** `a + b`. Shapes broadcast as in NumPy; one operand may be a number. */
export function add(a: Tensor | number, b: Tensor | number): Tensor {
  if (typeof b === "number" && typeof a !== "number") return affine(a, { factor: 1, bias: b });
  if (typeof a === "number" && typeof b !== "number") return affine(b, { factor: 1, bias: a });
  return binary("add", a, b);
}

/** `a - b`. Broadcasts; one operand may be a number. */
export function sub(a: Tensor | number, b: Tensor | number): Tensor {
  if (typeof b === "number" && typeof a !== "number") return affine(a, { factor: 1, bias: -b });
  if (typeof a === "number" && typeof b !== "number") return affine(b, { factor: -1, bias: a });
  return binary("sub", a, b);
}

/** `a * b`. Broadcasts; one operand may be a number. */
export function mul(a: Tensor | number, b: Tensor | number): Tensor {
  if (typeof b === "number" && typeof a !== "number") return affine(a, { factor: b, bias: 0 });
  if (typeof a === "number" && typeof b !== "number") return affine(b, { factor: a, bias: 0 });
  return binary("mul", a, b);
}

/** `a / b`. Broadcasts; one operand may be a number. */
export function div(a: Tensor | number, b: Tensor | number): Tensor {
  return binary("div", a, b);
}

/** The larger of two; NaN if either is NaN. Broadcasts; one operand may be a number. */
export function maximum(a: Tensor | number, b: Tensor | number): Tensor {
  return binary("max", a, b);
}

/** The smaller of two; NaN if either is NaN. Broadcasts; one operand may be a number. */
export function minimum(a: Tensor | number, b: Tensor | number): Tensor {
  return binary("min", a, b);
}

/**
 * `target += x` in place; `x` broadcasts to the target's shape. Returns nothing, since nothing new was made.
 * Throws `ShapeError` if the sum would be larger than the target.
 */
export function addInto(target: Tensor, x: Tensor): void {
  const [out, input] = [floats("addInto", target, "target"), floats("addInto", x)];
  sameDevice("addInto", target, x);
  const shape = sameShape(target.shape, x.shape)
    ? target.shape
    : broadcastShapes(target.shape, x.shape, "addInto");
  if (!sameShape(shape, target.shape)) {
    throw shapeError(
      "addInto",
      `target of shape ${formatShape(target.shape)} and x of shape ${formatShape(x.shape)}`,
      "give an x that broadcasts to the target",
    );
  }
  if (target.size === 0) return;
  const plan = collapseAxes(shape, [
    broadcastStrides(target.shape, shape),
    broadcastStrides(x.shape, shape),
  ]);
  target.device.backend.kernels.binary(
    "add",
    out,
    plan.strides[0] ?? [],
    input,
    plan.strides[1] ?? [],
    out,
    plan.shape,
  );
}

function binary(operator: BinaryOperator, a: Tensor | number, b: Tensor | number): Tensor {
  if (typeof a === "number") {
    if (typeof b === "number")
      throw shapeError(operator, "two numbers", "give at least one tensor");
    return withNumber(b, a, (number) => binaryTensors(operator, number, b));
  }
  return typeof b === "number"
    ? withNumber(a, b, (number) => binaryTensors(operator, a, number))
    : binaryTensors(operator, a, b);
}

function withNumber(tensor: Tensor, value: number, run: (number: Tensor) => Tensor): Tensor {
  const number = tensor.device.full([], value);
  try {
    return run(number);
  } finally {
    number.dispose();
  }
}

function binaryTensors(operator: BinaryOperator, a: Tensor, b: Tensor): Tensor {
  const [left, right] = [floats(operator, a, "a"), floats(operator, b, "b")];
  sameDevice(operator, a, b);
  const { kernels } = a.device.backend;
  if (sameShape(a.shape, b.shape)) {
    const out = a.device.empty(a.shape);
    if (out.size > 0)
      kernels.binary(operator, left, unitStride, right, unitStride, out.slice, [out.size]);
    return out;
  }
  const shape = broadcastShapes(a.shape, b.shape, operator);
  const out = a.device.empty(shape);
  if (out.size === 0) return out;
  const plan = collapseAxes(shape, [
    broadcastStrides(a.shape, shape),
    broadcastStrides(b.shape, shape),
  ]);
  kernels.binary(
    operator,
    left,
    plan.strides[0] ?? [],
    right,
    plan.strides[1] ?? [],
    out.slice,
    plan.shape,
  );
  return out;
}

const unitStride: readonly number[] = [1];
