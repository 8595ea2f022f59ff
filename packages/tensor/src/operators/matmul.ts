import { formatShape, sameShape, type Shape, sizeOf } from "@latentkit/core";
import type { MatmulPlan } from "../backend.ts";
import { floats, requireShape, sameDevice, shapeError } from "../checks.ts";
import type { Tensor } from "../tensor.ts";

/** How a matrix product reads its operands. */
export interface MatmulOptions {
  /** Whether `a` is stored as [..., k, m]. */
  readonly transposeA?: boolean | undefined;
  /** Whether `b` is stored as [..., n, k]. */
  readonly transposeB?: boolean | undefined;
  /** Factor of the product; 1 by default. */
  readonly alpha?: number | undefined;
}

/**
 * `alpha * a @ b`: [..., m, k] times [..., k, n] gives [..., m, n]. The leading axes are equal, or one operand is of rank 2 and
 * shared by all of the other's matrices. Throws `ShapeError` otherwise.
 */
export function matmul(a: Tensor, b: Tensor, options: MatmulOptions = {}): Tensor {
  const { shape, plan } = planMatmul("matmul", a, b, options, 0);
  const out = a.device.empty(shape);
  issue(a, b, out, plan);
  return out;
}

/** `target += alpha * a @ b`, in place; shapes as {@link matmul} has them. */
export function addMatmul(target: Tensor, a: Tensor, b: Tensor, options: MatmulOptions = {}): void {
  const { shape, plan } = planMatmul("addMatmul", a, b, options, 1);
  floats("addMatmul", target, "target");
  sameDevice("addMatmul", a, target);
  requireShape("addMatmul", "target", target.shape, shape, "the product's");
  issue(a, b, target, plan);
}

function issue(a: Tensor, b: Tensor, out: Tensor, plan: MatmulPlan): void {
  if (out.size === 0) return;
  const { kernels } = a.device.backend;
  if (plan.k > 0) kernels.matmul(a.slice, b.slice, out.slice, plan);
  else if (plan.beta === 0) kernels.fill(out.slice, 0);
}

/** Checks the operands; gives the product's shape and the kernel's plan. */
function planMatmul(
  operator: string,
  a: Tensor,
  b: Tensor,
  options: MatmulOptions,
  beta: number,
): { readonly shape: Shape; readonly plan: MatmulPlan } {
  const { transposeA = false, transposeB = false, alpha = 1 } = options;
  floats(operator, a, "a");
  floats(operator, b, "b");
  sameDevice(operator, a, b);
  if (a.shape.length < 2 || b.shape.length < 2)
    throw mismatch(operator, a.shape, b.shape, "at least two axes each");
  const [aRows, aColumns] = matrixOf(a.shape);
  const [bRows, bColumns] = matrixOf(b.shape);
  const [m, k] = transposeA ? [aColumns, aRows] : [aRows, aColumns];
  const [kOfB, n] = transposeB ? [bColumns, bRows] : [bRows, bColumns];
  if (k !== kOfB)
    throw mismatch(
      operator,
      a.shape,
      b.shape,
      `equal inner sizes, not ${k} and ${kOfB}${transposeA || transposeB ? ` (transposeA ${transposeA}, transposeB ${transposeB})` : ""}`,
    );
  const leading = leadingAxes(operator, a.shape, b.shape);
  const batch = sizeOf(leading);
  // Matrices that all meet the same b are one tall matrix: one large product instead of many small ones.
  const fold = b.shape.length === 2 && !transposeA;
  const plan: MatmulPlan = {
    batch: fold ? 1 : batch,
    m: fold ? batch * m : m,
    n,
    k,
    transposeA,
    transposeB,
    rowStrideA: aColumns,
    rowStrideB: bColumns,
    rowStrideOut: n,
    batchStrideA: a.shape.length === 2 ? 0 : m * k,
    batchStrideB: b.shape.length === 2 ? 0 : k * n,
    batchStrideOut: m * n,
    alpha,
    beta,
  };
  return { shape: [...leading, m, n], plan };
}

/**
 * `x @ weight^T + bias`, as PyTorch's `Linear`: x [..., in], weight [out, in], bias [out] or null, result [..., out].
 */
export function linear(x: Tensor, weight: Tensor, bias: Tensor | null = null): Tensor {
  const [input, matrix] = [floats("linear", x), floats("linear", weight, "weight")];
  sameDevice("linear", x, weight);
  const [outSize, inSize] = weight.shape;
  if (
    weight.shape.length !== 2 ||
    outSize === undefined ||
    inSize === undefined ||
    x.shape.length === 0 ||
    x.shape[x.shape.length - 1] !== inSize
  ) {
    throw shapeError(
      "linear",
      `x of shape ${formatShape(x.shape)} and weight of shape ${formatShape(weight.shape)}`,
      "give x [..., in] and weight [out, in]",
    );
  }
  const leading = x.shape.slice(0, -1);
  const rows = sizeOf(leading);
  const biasSlice = bias === null ? null : floats("linear", bias, "bias");
  if (bias !== null) {
    sameDevice("linear", x, bias);
    if (bias.shape.length !== 1 || bias.size !== outSize) {
      throw shapeError(
        "linear",
        `weight of shape ${formatShape(weight.shape)} and bias of shape ${formatShape(bias.shape)}`,
        "give a bias [out]",
      );
    }
  }
  const out = x.device.empty([...leading, outSize]);
  if (out.size === 0) return out;
  const { kernels } = x.device.backend;
  if (biasSlice !== null) kernels.stridedRead(biasSlice, [rows, outSize], [0, 1], out.slice);
  else if (inSize === 0) kernels.fill(out.slice, 0);
  if (inSize === 0) return out;
  kernels.matmul(input, matrix, out.slice, {
    batch: 1,
    m: rows,
    n: outSize,
    k: inSize,
    transposeA: false,
    transposeB: true,
    rowStrideA: inSize,
    rowStrideB: inSize,
    rowStrideOut: outSize,
    batchStrideA: 0,
    batchStrideB: 0,
    batchStrideOut: 0,
    alpha: 1,
    beta: biasSlice === null ? 0 : 1,
  });
  return out;
}

function matrixOf(shape: Shape): [rows: number, columns: number] {
  return [shape[shape.length - 2] ?? 1, shape[shape.length - 1] ?? 1];
}

function leadingAxes(operator: string, a: Shape, b: Shape): Shape {
  const [ofA, ofB] = [a.slice(0, -2), b.slice(0, -2)];
  if (b.length === 2) return ofA;
  if (a.length === 2 || sameShape(ofA, ofB)) return ofB;
  throw mismatch(operator, a, b, "equal leading axes, or one operand of rank 2");
}

function mismatch(operator: string, a: Shape, b: Shape, expected: string): Error {
  return shapeError(
    operator,
    `shapes ${formatShape(a)} and ${formatShape(b)}, expected ${expected}`,
  );
}
