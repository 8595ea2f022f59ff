import type { KernelExports } from "../wasm/instance.ts";
import type { BlasLibrary, Gemm, GemmCall, GemmProvider } from "./provider.ts";
import { fewRows } from "./few-rows.ts";

/** A library as a provider of matrix products. */
export function blasProvider(library: BlasLibrary): GemmProvider {
  return {
    name: library.name,
    // Products of the entries alone run at about 12 GFLOP/s, dense ones at 100 and more, less the way there and back.
    denseFraction: 0.1,
  };
}

/**
 * Hands products to a library on this thread, which reads and writes the kernels' memory in place.
 *
 * @param base address of the kernels' memory in the process
 * @param scratch address, in that memory, of the bytes that `gemmScratchBytes` asks for
 */
export function blasGemm(
  library: BlasLibrary,
  base: number,
  wasm: KernelExports,
  scratch: number,
): Gemm {
  return {
    sgemm(call: GemmCall): void {
      if (fewRows(wasm, call, scratch)) return;
      library.sgemm(
        call.transposeA,
        call.transposeB,
        call.m,
        call.n,
        call.k,
        call.alpha,
        base + call.a,
        call.strideA,
        base + call.b,
        call.strideB,
        call.beta,
        base + call.out,
        call.strideOut,
      );
    },
  };
}
