import type { Heap } from "../memory/heap.ts";
import type { KernelExports } from "../wasm/instance.ts";
import type { GemmCall } from "./provider.ts";

/**
 * A product whose left side is one row: a matrix times a vector, bound by memory. Our kernel reads the matrix at the speed of
 * the memory (30 GB/s on one thread); libraries are no faster, and some pack the whole matrix first.
 */
export function rowProduct(heap: Heap, wasm: KernelExports, call: GemmCall): void {
  const { n, k, alpha, a, b, strideB, beta, out, transposeA, transposeB, strideA } = call;
  const step = transposeA ? strideA : 1;
  if (!transposeB) {
    if (beta === 0) wasm.fillBytes(out, 0, n * 4);
    else if (beta !== 1) wasm.affine(out, beta, 0, out, n);
    wasm.addRowTimesMatrix(n, k, alpha, a, step, b, strideB, out);
  } else if (step === 1) wasm.rowTimesTransposed(n, k, alpha, a, b, strideB, beta, out);
  else {
    heap.withScratch(k * 4, (packed) => {
      wasm.gather(a, packed, 4, 1, 1, 1, k, 0, 0, 0, step * 4);
      wasm.rowTimesTransposed(n, k, alpha, packed, b, strideB, beta, out);
    });
  }
}
