import type { KernelExports } from "../wasm/instance.ts";
import type { GemmCall } from "./provider.ts";

/** Longest vector that fits the scratch of a matrix product. */
const packable = 16_384;
/**
 * Rows up to which our kernel for a few rows is faster than a library on a matrix that memory has to deliver: 49152 x 576 takes
 * 7.5 ms for two rows and 17 for six, OpenBLAS 19 and 21, and from eight on it is the other way round.
 */
const mostRows = 6;
/** Multiplications from which that holds; libraries have good kernels for products that fit the cache. */
const leastProducts = 1 << 20;

/**
 * Products whose left side is one row, or a few, and those whose right side is one column: bound by memory, where our kernels
 * read the matrix once at the memory's speed and libraries pack it first. False for other products, which it leaves alone.
 */
export function fewRows(wasm: KernelExports, call: GemmCall, scratch: number): boolean {
  if (call.m === 1) return oneRow(wasm, call, scratch);
  // One column below the other is one row; the product of the transposed matrices.
  if (call.n === 1 && call.strideOut === 1) {
    const { m, a, strideA, b, strideB, transposeA, transposeB } = call;
    const turned = { m: 1, n: m, a: b, strideA: strideB, b: a, strideB: strideA };
    const column = { ...call, ...turned, transposeA: !transposeB, transposeB: !transposeA };
    return oneRow(wasm, column, scratch);
  }
  const { m, n, k, alpha, a, strideA, b, strideB, beta, out, strideOut } = call;
  if (m > mostRows || m * n * k < leastProducts || call.transposeA || !call.transposeB)
    return false;
  wasm.rowsTimesTransposed(m, n, k, alpha, a, strideA, b, strideB, beta, out, strideOut);
  return true;
}

function oneRow(wasm: KernelExports, call: GemmCall, scratch: number): boolean {
  const { n, k, alpha, a, b, strideB, beta, out, transposeA, transposeB, strideA } = call;
  const step = transposeA ? strideA : 1;
  if (!transposeB) {
    if (beta === 0) wasm.fillBytes(out, 0, n * 4);
    else if (beta !== 1) wasm.affine(out, beta, 0, out, n);
    wasm.addRowTimesMatrix(n, k, alpha, a, step, b, strideB, out);
  } else if (step === 1) wasm.rowTimesTransposed(n, k, alpha, a, b, strideB, beta, out);
  else if (k <= packable) {
    wasm.gather(a, scratch, 4, 1, 1, 1, k, 0, 0, 0, step * 4);
    wasm.rowTimesTransposed(n, k, alpha, scratch, b, strideB, beta, out);
  } else return false;
  return true;
}
