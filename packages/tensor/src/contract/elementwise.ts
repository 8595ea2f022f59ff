import type { Slice } from "./storage.ts";

/** Functions of one number. */
export type UnaryOperator =
  | "abs"
  | "cos"
  | "erf"
  | "exp"
  | "expm1"
  | "gelu"
  | "geluTanh"
  | "log"
  | "log1p"
  | "neg"
  | "reciprocal"
  | "relu"
  | "rsqrt"
  | "sigmoid"
  | "sign"
  | "silu"
  | "sin"
  | "softplus"
  | "sqrt"
  | "square"
  | "tanh";

/** Those with a gradient kernel; the gradients of the others need none. */
export type UnaryGradientOperator = Exclude<UnaryOperator, "neg" | "sign">;

/**
 * `maxShare` is the share of its gradient that maximum(a, b) gives to `a`: 1 where a is larger, 1/2 where both are equal, 0 where
 * it is smaller, 1 where either is NaN.
 */
export type BinaryOperator = "add" | "div" | "max" | "maxShare" | "min" | "mul" | "sub";

/** `less` is a < b; `greater` is the same with the operands exchanged. NaN is unequal to everything and not less than anything. */
export type CompareOperator = "equal" | "less" | "lessEqual" | "notEqual";

/** On masks: any byte but 0 is true. */
export type LogicalOperator = "and" | "or" | "xor";

/** Activations of gated MLPs. */
export type GatedActivation = "gelu" | "geluTanh" | "silu";

/**
 * Element by element; `out` may be an input of the same strides and dtype. All floats are f32 unless a line says otherwise.
 * Kernels that broadcast take strides in elements (0 repeats) over the output's `shape`. Masks are u8; results are 0 and 1.
 */
export interface ElementwiseKernels {
  unary(operator: UnaryOperator, x: Slice, out: Slice): void;
  /**
   * `dx = dOut * f'(x)`. `saved` is the operator's output for exp, expm1, reciprocal, relu, rsqrt, sigmoid, sqrt and tanh, and its
   * input for the others. `dx` may be `dOut`. At their kink, 0, abs and relu have derivative 0.
   */
  unaryGradient(operator: UnaryGradientOperator, saved: Slice, dOut: Slice, dx: Slice): void;
  binary(
    operator: BinaryOperator,
    a: Slice,
    aStrides: readonly number[],
    b: Slice,
    bStrides: readonly number[],
    out: Slice,
    shape: readonly number[],
  ): void;
  /** `out = x * factor + bias`; both numbers are rounded to f32 first. */
  affine(x: Slice, factor: number, bias: number, out: Slice): void;
  /** `out = min(max(x, low), high)`; NaN stays. Either bound may be infinite. */
  clamp(x: Slice, low: number, high: number, out: Slice): void;
  /** `dx = dOut` where `low <= x <= high`, else 0. `dx` may be `dOut`. */
  clampGradient(x: Slice, low: number, high: number, dOut: Slice, dx: Slice): void;
  /** `out = x^exponent` as C's pow has it; the exponent is rounded to f32 first. */
  power(x: Slice, exponent: number, out: Slice): void;
  /** `out = activation(gate) * up`. */
  gatedMul(activation: GatedActivation, gate: Slice, up: Slice, out: Slice): void;
  /** `dGate = dOut * up * activation'(gate)`, `dUp = dOut * activation(gate)`; either may be null. */
  gatedMulGradient(
    activation: GatedActivation,
    gate: Slice,
    up: Slice,
    dOut: Slice,
    dGate: Slice | null,
    dUp: Slice | null,
  ): void;
  /** `a` and `b` are both f32, both i32 or both u8; `out` is a mask, and neither of them. */
  compare(
    operator: CompareOperator,
    a: Slice,
    aStrides: readonly number[],
    b: Slice,
    bStrides: readonly number[],
    out: Slice,
    shape: readonly number[],
  ): void;
  /** All three are masks. */
  logical(
    operator: LogicalOperator,
    a: Slice,
    aStrides: readonly number[],
    b: Slice,
    bStrides: readonly number[],
    out: Slice,
    shape: readonly number[],
  ): void;
  /** `out = condition ? a : b`; the condition is a mask, the others are all f32 or all i32. */
  select(
    condition: Slice,
    conditionStrides: readonly number[],
    a: Slice,
    aStrides: readonly number[],
    b: Slice,
    bStrides: readonly number[],
    out: Slice,
    shape: readonly number[],
  ): void;
  /** `out` is the mask of numbers that are neither infinite nor NaN. */
  isFinite(x: Slice, out: Slice): void;
  /** `out[0]` (i32) is how many elements are infinite or NaN. */
  countNonFinite(x: Slice, out: Slice): void;
}
