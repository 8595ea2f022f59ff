import type { KernelExports } from "../wasm/instance.ts";
import type { Gemm, GemmCall, GemmProvider } from "./provider.ts";
import { fewRows } from "./few-rows.ts";

/** Our own matrix product: always there. */
export const wasmProvider: GemmProvider = {
  name: "wasm",
  // Products of the entries alone run at about 12 GFLOP/s, dense ones at 41.
  denseFraction: 0.35,
};

/** Our own matrix product on one thread. `scratch`: address of the bytes that `gemmScratchBytes` asks for. */
export function wasmGemm(wasm: KernelExports, scratch: number): Gemm {
  return {
    sgemm(call: GemmCall): void {
      if (fewRows(wasm, call, scratch)) return;
      wasm.gemm(
        Number(call.transposeA),
        Number(call.transposeB),
        call.m,
        call.n,
        call.k,
        call.alpha,
        call.a,
        call.strideA,
        call.b,
        call.strideB,
        call.beta,
        call.out,
        call.strideOut,
        scratch,
      );
    },
  };
}
