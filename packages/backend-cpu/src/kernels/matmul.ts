import type { Kernels } from "@latentkit/tensor";
import { address, type Runtime } from "../runtime.ts";

export function matmulKernels({ gemm, wasm }: Runtime): Pick<Kernels, "matmul"> {
  return {
    matmul(a, b, out, plan) {
      const { batch, m, n, k, transposeA, transposeB, alpha, beta } = plan;
      const [aAt, bAt, outAt] = [address(a), address(b), address(out)];
      const [strideA, strideB, strideOut] = [plan.rowStrideA, plan.rowStrideB, plan.rowStrideOut];
      const shared = { n, transposeA, transposeB, alpha, beta, strideA, strideB, strideOut };
      if (k === 0) {
        // An empty sum: libraries differ in what they do with the output.
        for (let entry = 0; entry < batch; entry++) {
          for (let row = 0; row < m; row++) {
            const at = outAt + (entry * plan.batchStrideOut + row * strideOut) * 4;
            if (beta === 0) wasm.fillBytes(at, 0, n * 4);
            else wasm.affine(at, beta, 0, at, n);
          }
        }
        return;
      }
      // One tall product instead of many, where the batch only repeats b.
      const stacks =
        plan.batchStrideB === 0 &&
        !transposeA &&
        plan.batchStrideA === m * strideA &&
        plan.batchStrideOut === m * strideOut;
      if (stacks) {
        gemm.sgemm({ ...shared, m: batch * m, k, a: aAt, b: bAt, out: outAt });
        return;
      }
      for (let entry = 0; entry < batch; entry++) {
        gemm.sgemm({
          ...shared,
          m,
          k,
          a: aAt + entry * plan.batchStrideA * 4,
          b: bAt + entry * plan.batchStrideB * 4,
          out: outAt + entry * plan.batchStrideOut * 4,
        });
      }
    },
  };
}
