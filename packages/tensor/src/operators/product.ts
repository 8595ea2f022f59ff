// Products of batches of matrices, cut into as few kernel calls as the operands allow without a copy.

import { type Shape, sizeOf } from "@latentkit/core";
import type { Kernels, MatmulEpilogue, MatmulPlan, Slice } from "../backend.ts";
import { broadcastStrides, collapseAxes } from "../strides.ts";

/** A product over leading axes that broadcast, and that the output may sum over. */
export interface Product {
  /** Sizes of the leading axes of the product. */
  readonly leading: Shape;
  /** The leading axes that each operand has; stretched where they are 1, and in `out` summed over. */
  readonly leadingA: Shape;
  readonly leadingB: Shape;
  readonly leadingOut: Shape;
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly transposeA: boolean;
  readonly transposeB: boolean;
  readonly alpha: number;
  /** 0 replaces what `out` holds, 1 adds to it. */
  readonly beta: 0 | 1;
  /** Only where nothing is summed over. */
  readonly epilogue?: MatmulEpilogue | undefined;
}

type Sizes = Pick<Product, "k" | "m" | "n">;

interface Axis {
  readonly size: number;
  /** In elements; 0 repeats the operand, and in `out` adds up. */
  readonly a: number;
  readonly b: number;
  readonly out: number;
}

/** Issues the kernel calls of a product; all operands are contiguous. */
export function issueProduct(
  kernels: Kernels,
  a: Slice,
  b: Slice,
  out: Slice,
  product: Product,
): void {
  if (out.length === 0) return;
  const { leading, beta } = product;
  if (leading.length === 0) {
    // The usual case, without the search for axes.
    kernels.matmul(a, b, out, planOf(product, product, one, beta));
    return;
  }
  if (leading.includes(0)) {
    // A sum over nothing.
    if (beta === 0) kernels.fill(out, 0);
    return;
  }
  const { axes, ...sizes } = fold(product);
  // The longest axis is the kernel's batch; the few others are walked here, summed ones outermost.
  const kept = axes.filter((axis) => axis.out !== 0).sort((x, y) => y.size - x.size);
  const summed = axes.filter((axis) => axis.out === 0);
  const outer = [...summed, ...kept.slice(1)];
  const calls = sizeOf(outer.map((axis) => axis.size));
  const callsPerSum = sizeOf(kept.slice(1).map((axis) => axis.size));
  for (let call = 0; call < calls; call++) {
    const at = offsets(outer, call);
    const plan = planOf(product, sizes, kept[0] ?? one, call < callsPerSum ? beta : 1);
    kernels.matmul(from(a, at.a), from(b, at.b), from(out, at.out), plan);
  }
}

const one: Axis = { size: 1, a: 0, b: 0, out: 0 };

/** One kernel call of contiguous matrices. */
function planOf(product: Product, { m, n, k }: Sizes, batch: Axis, beta: number): MatmulPlan {
  const { transposeA, transposeB, alpha, epilogue } = product;
  return {
    batch: batch.size,
    m,
    n,
    k,
    transposeA,
    transposeB,
    rowStrideA: transposeA ? m : k,
    rowStrideB: transposeB ? k : n,
    rowStrideOut: n,
    batchStrideA: batch.a,
    batchStrideB: batch.b,
    batchStrideOut: batch.out,
    alpha,
    beta,
    epilogue,
  };
}

/**
 * Merges leading axes, and makes them part of the matrices where memory lies so: rows of `a` that all meet one `b` are one tall
 * matrix, columns of transposed `b` that meet one row are one wide matrix, and a sum of products is one product over a longer
 * inner axis.
 */
function fold(product: Product): Sizes & { readonly axes: readonly Axis[] } {
  const { leading, transposeA, transposeB, epilogue } = product;
  let { m, n, k } = product;
  // A bias has as many elements as one matrix has columns.
  const biased = (epilogue?.bias ?? null) !== null;
  const strides = (own: Shape, matrix: number): number[] =>
    broadcastStrides(own, leading).map((stride) => stride * matrix);
  const collapsed = collapseAxes(leading, [
    strides(product.leadingA, m * k),
    strides(product.leadingB, k * n),
    strides(product.leadingOut, m * n),
  ]);
  const [ofA = [], ofB = [], ofOut = []] = collapsed.strides;
  const axes: Axis[] = [];
  for (const [index, size] of [...collapsed.shape.entries()].toReversed()) {
    if (size === 1) continue;
    const [a, b, out] = [ofA[index] ?? 0, ofB[index] ?? 0, ofOut[index] ?? 0];
    if (b === 0 && a === m * k && out === m * n && !transposeA) m *= size;
    else if (a === 0 && m === 1 && b === n * k && out === n && transposeB && !biased) n *= size;
    else if (out === 0 && a === m * k && b === k * n && transposeA && !transposeB) k *= size;
    else axes.unshift({ size, a, b, out });
  }
  return { axes, m, n, k };
}

function offsets(axes: readonly Axis[], index: number): { a: number; b: number; out: number } {
  const at = { a: 0, b: 0, out: 0 };
  let rest = index;
  for (const { size, a, b, out } of axes.toReversed()) {
    const place = rest % size;
    rest = (rest - place) / size;
    at.a += place * a;
    at.b += place * b;
    at.out += place * out;
  }
  return at;
}

/** What follows an element of a slice. */
function from(slice: Slice, element: number): Slice {
  return element === 0
    ? slice
    : { ...slice, offset: slice.offset + element, length: slice.length - element };
}
