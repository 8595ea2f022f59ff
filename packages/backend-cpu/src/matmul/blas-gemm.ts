import type { Heap } from "../memory/heap.ts";
import type { KernelExports } from "../wasm/instance.ts";
import type { BlasLibrary, Gemm, GemmCall } from "./provider.ts";
import { rowProduct } from "./row-product.ts";

/** Hands products to a BLAS library, which reads and writes the kernels' memory in place. */
export function blasGemm(library: BlasLibrary, heap: Heap, wasm: KernelExports): Gemm {
  // A library takes the address and the strides; the views' length does not matter to it.
  const at = (address: number): Float32Array => new Float32Array(heap.buffer, address, 1);
  return {
    name: library.name,
    threads: library.threads,
    // Products of the entries alone run at about 12 GFLOP/s, dense ones at 100 and more, less the way there and back.
    denseFraction: 0.1,
    sgemm(call: GemmCall): void {
      if (call.m === 1) {
        rowProduct(heap, wasm, call);
        return;
      }
      const {
        m,
        n,
        k,
        alpha,
        a,
        b,
        beta,
        out,
        strideA,
        strideB,
        strideOut,
        transposeA,
        transposeB,
      } = call;
      library.sgemm(
        transposeA,
        transposeB,
        m,
        n,
        k,
        alpha,
        at(a),
        strideA,
        at(b),
        strideB,
        beta,
        at(out),
        strideOut,
      );
    },
  };
}
