import { formatShape, sameShape } from "@latentkit/core";
import { differentiable } from "../autograd/differentiable.ts";
import { refuseInPlace } from "../autograd/in-place.ts";
import type { BinaryOperator } from "../backend.ts";
import { floats, requireValue, sameDevice, shapeError } from "../checks.ts";
import type { Tensor } from "../tensor.ts";
import { broadcastBinary, broadcastPlan, commonShape, sumTo, withNumber } from "./broadcast.ts";
import { neg } from "./unary.ts";

/** Gradients to both operands, of the broadcast shape; a function is called only where its result is wanted. */
type BinaryRule = (
  gradient: Tensor,
  a: Tensor,
  b: Tensor,
  out: Tensor,
) => readonly [() => Tensor, () => Tensor];

/** `x * factor + bias`, both numbers. */
export function affine(
  x: Tensor,
  options: { readonly factor: number; readonly bias: number },
): Tensor {
  const { factor, bias } = options;
  const input = floats("affine", x);
  const out = x.device.empty(x.shape);
  if (x.size > 0) x.device.backend.kernels.affine(input, factor, bias, out.slice);
  return differentiable(out, {
    operator: "affine",
    inputs: [x],
    rule: (gradient) => [factor === 1 ? gradient : affine(gradient, { factor, bias: 0 })],
  });
}

/** `a + b`. Shapes broadcast as in NumPy; one operand may be a number. Throws `ShapeError` naming both shapes if they do not fit. */
export function add(a: Tensor | number, b: Tensor | number): Tensor {
  if (typeof b === "number" && typeof a !== "number") return affine(a, { factor: 1, bias: b });
  if (typeof a === "number" && typeof b !== "number") return affine(b, { factor: 1, bias: a });
  return binary("add", "add", a, b, { reads: [[], []], rule: (g) => [() => g, () => g] });
}

/** `a - b`. Broadcasts; one operand may be a number. */
export function sub(a: Tensor | number, b: Tensor | number): Tensor {
  if (typeof b === "number" && typeof a !== "number") return affine(a, { factor: 1, bias: -b });
  if (typeof a === "number" && typeof b !== "number") return affine(b, { factor: -1, bias: a });
  return binary("sub", "sub", a, b, { reads: [[], []], rule: (g) => [() => g, () => neg(g)] });
}

/** `a * b`. Broadcasts; one operand may be a number. */
export function mul(a: Tensor | number, b: Tensor | number): Tensor {
  if (typeof b === "number" && typeof a !== "number") return affine(a, { factor: b, bias: 0 });
  if (typeof a === "number" && typeof b !== "number") return affine(b, { factor: a, bias: 0 });
  return binary("mul", "mul", a, b, {
    reads: [["b"], ["a"]],
    rule: (g, x, y) => [() => mul(g, y), () => mul(g, x)],
  });
}

/** `a / b`. Broadcasts; one operand may be a number. */
export function div(a: Tensor | number, b: Tensor | number): Tensor {
  return binary("div", "div", a, b, {
    reads: [["b"], ["b", "out"]],
    rule: (g, _, y, out) => [() => div(g, y), () => neg(div(mul(g, out), y))],
  });
}

/** The larger of two; NaN if either is NaN. Broadcasts; one operand may be a number. Equal operands get half of the gradient each. */
export function maximum(a: Tensor | number, b: Tensor | number): Tensor {
  return binary("maximum", "max", a, b, {
    reads: [
      ["a", "b"],
      ["a", "b"],
    ],
    rule: (g, x, y) => [() => mul(g, maxShare(x, y)), () => mul(g, maxShare(y, x))],
  });
}

/** The smaller of two; NaN if either is NaN. Broadcasts; one operand may be a number. Equal operands get half of the gradient each. */
export function minimum(a: Tensor | number, b: Tensor | number): Tensor {
  return binary("minimum", "min", a, b, {
    reads: [
      ["a", "b"],
      ["a", "b"],
    ],
    rule: (g, x, y) => [() => mul(g, maxShare(y, x)), () => mul(g, maxShare(x, y))],
  });
}

const maxShare = (a: Tensor, b: Tensor): Tensor => broadcastBinary("maxShare", a, b);

/**
 * `x^exponent` for a number: NaN for a negative x and an exponent that is no integer. The gradient is
 * `exponent * x^(exponent - 1)`. Throws `ConfigError` `VALUE_RANGE` for an exponent that is NaN.
 */
export function pow(x: Tensor, exponent: number): Tensor {
  const input = floats("pow", x);
  requireValue(!Number.isNaN(exponent), "pow", "exponent", exponent, "a number");
  const out = x.device.empty(x.shape);
  if (x.size > 0) x.device.backend.kernels.power(input, exponent, out.slice);
  return differentiable(out, {
    operator: "pow",
    inputs: [x],
    saved: [x],
    rule: (gradient, { saved: [given = x] }) => {
      if (exponent === 0) return [gradient.device.zeros(gradient.shape)];
      return [mul(gradient, affine(pow(given, exponent - 1), { factor: exponent, bias: 0 }))];
    },
  });
}

/**
 * `target += x` in place; `x` broadcasts to the target's shape. Returns nothing, since nothing new was made.
 * Throws `ShapeError` if the sum would be larger than the target, `LatentkitError` `AUTOGRAD_IN_PLACE` while the open tape
 * tracks the target.
 */
export function addInto(target: Tensor, x: Tensor): void {
  const [out, input] = [floats("addInto", target, "target"), floats("addInto", x)];
  sameDevice("addInto", target, x);
  const shape = commonShape("addInto", [target.shape, x.shape]);
  if (!sameShape(shape, target.shape)) {
    throw shapeError(
      "addInto",
      `target of shape ${formatShape(target.shape)} and x of shape ${formatShape(x.shape)}`,
      "give an x that broadcasts to the target",
    );
  }
  refuseInPlace("addInto", target);
  if (target.size === 0) return;
  const plan = broadcastPlan([target.shape, x.shape], shape);
  const [targetStrides = [], xStrides = []] = plan.strides;
  target.device.backend.kernels.binary("add", out, targetStrides, input, xStrides, out, plan.shape);
}

type Part = "a" | "b" | "out";

interface BinaryGradient {
  /** What the gradient to `a` reads, and what the one to `b`. */
  readonly reads: readonly [readonly Part[], readonly Part[]];
  readonly rule: BinaryRule;
}

function binary(
  name: string,
  operator: BinaryOperator,
  a: Tensor | number,
  b: Tensor | number,
  gradient: BinaryGradient,
): Tensor {
  if (typeof a === "number") {
    if (typeof b === "number") throw shapeError(name, "two numbers", "give at least one tensor");
    return withNumber(b, a, (number) => binaryTensors(name, operator, number, b, gradient));
  }
  return typeof b === "number"
    ? withNumber(a, b, (number) => binaryTensors(name, operator, a, number, gradient))
    : binaryTensors(name, operator, a, b, gradient);
}

function binaryTensors(
  name: string,
  operator: BinaryOperator,
  a: Tensor,
  b: Tensor,
  { reads: [readsA, readsB], rule }: BinaryGradient,
): Tensor {
  floats(name, a, "a");
  floats(name, b, "b");
  sameDevice(name, a, b);
  const out = broadcastBinary(operator, a, b, commonShape(name, [a.shape, b.shape]));
  const parts = { a, b, out };
  const { tape } = out.device;
  // A factor without a gradient of its own needs nothing of the other kept.
  const saves = [
    ...new Set([
      ...(tape?.tracks(a) === true ? readsA : []),
      ...(tape?.tracks(b) === true ? readsB : []),
    ]),
  ];
  return differentiable(out, {
    operator: name,
    inputs: [a, b],
    saved: saves.map((part) => parts[part]),
    rule: (incoming, { saved, needs: [needsA, needsB] }) => {
      const kept = { ...parts };
      for (const [index, part] of saves.entries()) kept[part] = saved[index] ?? kept[part];
      const [toA, toB] = rule(incoming, kept.a, kept.b, kept.out);
      return [
        needsA === true ? sumTo(toA(), a.shape) : null,
        needsB === true ? sumTo(toB(), b.shape) : null,
      ];
    },
  });
}
