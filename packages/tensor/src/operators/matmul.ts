import { formatShape, type Shape, sizeOf } from "@latentkit/core";
import { differentiable, type Differentiation } from "../autograd/differentiable.ts";
import { refuseInPlace } from "../autograd/in-place.ts";
import type { Activation, MatmulEpilogue } from "../backend.ts";
import { floats, requireShape, sameDevice, shapeError } from "../checks.ts";
import { StoredWeight } from "../stored-weight.ts";
import type { Tensor } from "../tensor.ts";
import { gelu, geluTanh, relu, silu } from "./unary.ts";
import { issueProduct, type Product } from "./product.ts";
import { sum } from "./reduce.ts";
import { linearStored } from "./stored.ts";

/** How {@link addMatmul} reads its operands. */
export interface AddMatmulOptions {
  /** Whether `a` is stored as [..., k, m]. Not for vectors. */
  readonly transposeA?: boolean | undefined;
  /** Whether `b` is stored as [..., n, k]. Not for vectors. */
  readonly transposeB?: boolean | undefined;
  /** Factor of the product; 1 by default. */
  readonly alpha?: number | undefined;
}

/** What follows a product while it is in the cache. */
export interface ActivationOptions {
  /** Applied last, after the bias. */
  readonly activation?: Activation | null | undefined;
}

/** How {@link matmul} reads its operands, and what it does to the product. */
export interface MatmulOptions extends AddMatmulOptions, ActivationOptions {
  /** f32 [n], added to every row of the product. */
  readonly bias?: Tensor | null | undefined;
}

/**
 * `activation(alpha * a @ b + bias)`: f32 [..., m, k] times [..., k, n] gives [..., m, n].
 *
 * Leading axes broadcast as NumPy's do, and a vector is as in NumPy a row on the left ([k] times [..., k, n] gives [..., n]) and
 * a column on the right ([..., m, k] times [k] gives [..., m]; two vectors give their dot product, of shape []). Nothing is
 * copied: transposed operands are read as they lie, and repeated ones again.
 *
 * Gradients: `da = alpha g b^T` and `db = alpha a^T g`, summed over the axes along which an operand was repeated; with an
 * activation `g` is first multiplied by its slope, and `dbias` is the sum of its rows.
 *
 * Throws `ShapeError` for inner sizes that differ, leading axes that do not broadcast, or a bias that is not [n];
 * `DTypeError` unless all are f32.
 */
export function matmul(a: Tensor, b: Tensor, options: MatmulOptions = {}): Tensor {
  if (a.shape.length !== 1 && b.shape.length !== 1) return multiply("matmul", a, b, options);
  if ((a.shape.length === 1 && options.transposeA) || (b.shape.length === 1 && options.transposeB))
    throw mismatch("matmul", a.shape, b.shape, "no transposition of a vector");
  return ofVectors(a, b, options);
}

/** `target += alpha * a @ b`, in place; shapes as {@link matmul} has them. Throws as it does, and `AUTOGRAD_IN_PLACE`. */
export function addMatmul(
  target: Tensor,
  a: Tensor,
  b: Tensor,
  options: AddMatmulOptions = {},
): void {
  const product = plan("addMatmul", a, b, options, 1);
  floats("addMatmul", target, "target");
  sameDevice("addMatmul", a, target);
  requireShape(
    "addMatmul",
    "target",
    target.shape,
    [...product.leading, product.m, product.n],
    "the product's",
  );
  refuseInPlace("addMatmul", target);
  issueProduct(a.device.backend.kernels, a.slice, b.slice, target.slice, product);
}

/**
 * `activation(x @ weight^T + bias)`, as PyTorch's `Linear`: f32 x [..., in], weight [out, in], bias [out] or null, result
 * [..., out]. Its gradients are {@link matmul}'s; the weight's is one product over all rows of x. A {@link StoredWeight} is read
 * as it is stored, and has no gradient.
 *
 * Throws `ShapeError` for shapes that do not fit, `DTypeError` unless all are f32.
 */
export function linear(
  x: Tensor,
  weight: Tensor | StoredWeight,
  bias: Tensor | null = null,
  { activation }: ActivationOptions = {},
): Tensor {
  if (weight instanceof StoredWeight) {
    if (!activation) return linearStored(x, weight, bias);
    using before = linearStored(x, weight, bias);
    return activations[activation](before);
  }
  floats("linear", x);
  floats("linear", weight, "weight");
  const inSize = x.shape[x.shape.length - 1];
  if (weight.shape.length !== 2 || inSize === undefined || inSize !== weight.shape[1]) {
    throw shapeError(
      "linear",
      `x of shape ${formatShape(x.shape)} and weight of shape ${formatShape(weight.shape)}`,
      "give x [..., in] and weight [out, in]",
    );
  }
  if (bias !== null && (bias.shape.length !== 1 || bias.size !== weight.shape[0])) {
    throw shapeError(
      "linear",
      `weight of shape ${formatShape(weight.shape)} and bias of shape ${formatShape(bias.shape)}`,
      "give a bias [out]",
    );
  }
  const options = { transposeB: true, bias, activation };
  if (x.shape.length > 1) return multiply("linear", x, weight, options);
  using row = x.reshape([1, inSize]);
  using out = multiply("linear", row, weight, options);
  return out.reshape([out.size]);
}

/** The outer product `a b^T` of vectors: f32 [m] and [n] give [m, n]. Throws `ShapeError` unless both are vectors. */
export function outer(a: Tensor, b: Tensor): Tensor {
  if (a.shape.length !== 1 || b.shape.length !== 1)
    throw mismatch("outer", a.shape, b.shape, "one axis each");
  floats("outer", a, "a");
  floats("outer", b, "b");
  using column = a.reshape([a.size, 1]);
  using row = b.reshape([1, b.size]);
  return multiply("outer", column, row, {});
}

const activations: Readonly<Record<Activation, (x: Tensor) => Tensor>> = {
  gelu,
  geluTanh,
  relu,
  silu,
};

/** A product in which one operand is a vector, or both. */
function ofVectors(a: Tensor, b: Tensor, options: MatmulOptions): Tensor {
  floats("matmul", a, "a");
  floats("matmul", b, "b");
  if (a.shape.length === 0 || b.shape.length === 0) throw tooFewAxes("matmul", a, b);
  const [row, column] = [a.shape.length === 1, b.shape.length === 1];
  const left = row ? a.reshape([1, a.size]) : a;
  const right = column ? b.reshape([b.size, 1]) : b;
  try {
    using out = multiply("matmul", left, right, options, [a.shape, b.shape]);
    const leading = out.shape.slice(0, -2);
    const [m = 1, n = 1] = out.shape.slice(-2);
    return out.reshape([...leading, ...(row ? [] : [m]), ...(column ? [] : [n])]);
  } finally {
    if (row) left.dispose();
    if (column) right.dispose();
  }
}

/** A product of tensors of at least two axes, recorded; `given` are the shapes as the caller knows them. */
function multiply(
  operator: string,
  a: Tensor,
  b: Tensor,
  options: MatmulOptions,
  given: readonly [Shape, Shape] = [a.shape, b.shape],
): Tensor {
  const { bias = null, activation = null } = options;
  const { device } = a;
  const tracks = (x: Tensor | null): boolean => x !== null && device.tape?.tracks(x) === true;
  const [tracksA, tracksB] = [tracks(a), tracks(b)];
  if (activation !== null && (tracksA || tracksB || tracks(bias))) {
    // The activation's own rule knows what of it to keep.
    using before = multiply(operator, a, b, { ...options, activation: null });
    return activations[activation](before);
  }
  const product = plan(operator, a, b, options, 0, given);
  const out = device.empty([...product.leading, product.m, product.n]);
  issueProduct(device.backend.kernels, a.slice, b.slice, out.slice, product);
  return differentiable(out, {
    operator,
    inputs: bias === null ? [a, b] : [a, b, bias],
    // Each operand is read for the other's gradient alone.
    saved: tracksA && tracksB ? [a, b] : tracksB ? [a] : tracksA ? [b] : [],
    rule: gradientRule(product, a.shape, b.shape, tracksA, tracksB, bias !== null),
  });
}

function gradientRule(
  product: Product,
  shapeA: Shape,
  shapeB: Shape,
  toA: boolean,
  toB: boolean,
  biased: boolean,
): Differentiation["rule"] {
  const { leading, n, transposeA, transposeB, alpha } = product;
  return (gradient, { saved, needs }) => {
    const a = toB ? saved[0] : undefined;
    const b = toA ? saved[saved.length - 1] : undefined;
    const multiplied = (left: Factor, right: Factor, target: Shape): Tensor =>
      contract(left, right, alpha, leading, target);
    const g = { of: gradient, transposed: false };
    const gT = { of: gradient, transposed: true };
    let [da, db]: (Tensor | null)[] = [null, null];
    if (b !== undefined)
      da = transposeA
        ? multiplied({ of: b, transposed: transposeB }, gT, shapeA)
        : multiplied(g, { of: b, transposed: !transposeB }, shapeA);
    if (a !== undefined)
      db = transposeB
        ? multiplied(gT, { of: a, transposed: transposeA }, shapeB)
        : multiplied({ of: a, transposed: !transposeA }, g, shapeB);
    if (!biased) return [da ?? null, db ?? null];
    const rows = sizeOf(gradient.shape.slice(0, -1));
    const dBias = needs[2] === true ? sum(gradient.reshape([rows, n]), { axis: 0 }) : null;
    return [da ?? null, db ?? null, dBias];
  };
}

/** An operand of a gradient's product. */
interface Factor {
  readonly of: Tensor;
  readonly transposed: boolean;
}

/** `alpha * left @ right`, summed over the leading axes that the target lacks. */
function contract(
  left: Factor,
  right: Factor,
  alpha: number,
  leading: Shape,
  target: Shape,
): Tensor {
  const out = left.of.device.empty(target);
  const [rows, columns] = matrixOf(left.of.shape);
  const [m, n] = matrixOf(target);
  issueProduct(out.device.backend.kernels, left.of.slice, right.of.slice, out.slice, {
    leading,
    leadingA: left.of.shape.slice(0, -2),
    leadingB: right.of.shape.slice(0, -2),
    leadingOut: target.slice(0, -2),
    m,
    n,
    k: left.transposed ? rows : columns,
    transposeA: left.transposed,
    transposeB: right.transposed,
    alpha,
    beta: 0,
  });
  return out;
}

/** Checks the operands. */
function plan(
  operator: string,
  a: Tensor,
  b: Tensor,
  { transposeA = false, transposeB = false, alpha = 1, bias, activation }: MatmulOptions,
  beta: 0 | 1,
  [givenA, givenB]: readonly [Shape, Shape] = [a.shape, b.shape],
): Product {
  floats(operator, a, "a");
  floats(operator, b, "b");
  sameDevice(operator, a, b);
  if (a.shape.length < 2 || b.shape.length < 2) throw tooFewAxes(operator, a, b);
  const [aRows, aColumns] = matrixOf(a.shape);
  const [bRows, bColumns] = matrixOf(b.shape);
  const [m, k] = transposeA ? [aColumns, aRows] : [aRows, aColumns];
  const [kOfB, n] = transposeB ? [bColumns, bRows] : [bRows, bColumns];
  if (k !== kOfB) {
    const how =
      transposeA || transposeB ? ` (transposeA ${transposeA}, transposeB ${transposeB})` : "";
    throw mismatch(operator, givenA, givenB, `equal inner sizes, not ${k} and ${kOfB}${how}`);
  }
  const [leadingA, leadingB] = [a.shape.slice(0, -2), b.shape.slice(0, -2)];
  const leading = leadingAxes(operator, a.shape, b.shape);
  let epilogue: MatmulEpilogue | undefined;
  if (bias || activation) {
    if (bias) checkBias(operator, a, bias, [...leading, m, n]);
    epilogue = { bias: bias?.slice ?? null, activation: activation ?? null };
  }
  return {
    leading,
    leadingA,
    leadingB,
    leadingOut: leading,
    m,
    n,
    k,
    transposeA,
    transposeB,
    alpha,
    beta,
    epilogue,
  };
}

function checkBias(operator: string, a: Tensor, bias: Tensor, product: Shape): void {
  floats(operator, bias, "bias");
  sameDevice(operator, a, bias);
  const expected = product.slice(-1);
  requireShape(operator, "bias", bias.shape, expected, `for a product ${formatShape(product)}`);
}

function matrixOf(shape: Shape): [rows: number, columns: number] {
  return [shape[shape.length - 2] ?? 1, shape[shape.length - 1] ?? 1];
}

/** Broadcasts the leading axes. */
function leadingAxes(operator: string, a: Shape, b: Shape): Shape {
  const [ofA, ofB] = [a.slice(0, -2), b.slice(0, -2)];
  const rank = Math.max(ofA.length, ofB.length);
  if (rank === 0) return [];
  return Array.from({ length: rank }, (_, axis) => {
    const sizeA = ofA[axis - rank + ofA.length] ?? 1;
    const sizeB = ofB[axis - rank + ofB.length] ?? 1;
    if (sizeA === sizeB || sizeB === 1) return sizeA;
    if (sizeA === 1) return sizeB;
    throw mismatch(operator, a, b, "leading axes that are equal or 1");
  });
}

function tooFewAxes(operator: string, a: Tensor, b: Tensor): Error {
  const least = operator === "matmul" ? "at least one axis each" : "at least two axes each";
  return mismatch(operator, a.shape, b.shape, least);
}

function mismatch(operator: string, a: Shape, b: Shape, expected: string): Error {
  return shapeError(
    operator,
    `shapes ${formatShape(a)} and ${formatShape(b)}, expected ${expected}`,
  );
}
