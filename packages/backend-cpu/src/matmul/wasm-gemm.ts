import type { Heap } from "../memory/heap.ts";
import type { KernelExports } from "../wasm/instance.ts";
import type { Gemm, GemmCall } from "./provider.ts";
import { rowProduct } from "./row-product.ts";

/** Our own matrix product: one thread, always there. */
export function wasmGemm(heap: Heap, wasm: KernelExports): Gemm {
  const scratchBytes = wasm.gemmScratchBytes();
  return {
    name: "wasm",
    threads: 1,
    // Products of the entries alone run at about 12 GFLOP/s, dense ones at 41.
    denseFraction: 0.35,
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
      heap.withScratch(scratchBytes, (scratch) => {
        wasm.gemm(
          Number(transposeA),
          Number(transposeB),
          m,
          n,
          k,
          alpha,
          a,
          strideA,
          b,
          strideB,
          beta,
          out,
          strideOut,
          scratch,
        );
      });
    },
  };
}
