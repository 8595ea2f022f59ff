import type { Kernels } from "@latentkit/tensor";
import { activationCodes } from "../matmul/provider.ts";
import { address, addressOrNull, type Runtime } from "../runtime.ts";

export function matmulKernels({ gemm }: Runtime): Pick<Kernels, "matmul"> {
  return {
    matmul(a, b, out, plan) {
      const { epilogue } = plan;
      // One tall product instead of many, where the batch only repeats b.
      const stacks =
        plan.batchStrideB === 0 &&
        !plan.transposeA &&
        plan.batchStrideA === plan.m * plan.rowStrideA &&
        plan.batchStrideOut === plan.m * plan.rowStrideOut;
      gemm.batched({
        transposeA: plan.transposeA,
        transposeB: plan.transposeB,
        m: stacks ? plan.batch * plan.m : plan.m,
        n: plan.n,
        k: plan.k,
        alpha: plan.alpha,
        a: address(a),
        strideA: plan.rowStrideA,
        b: address(b),
        strideB: plan.rowStrideB,
        beta: plan.beta,
        out: address(out),
        strideOut: plan.rowStrideOut,
        batch: stacks ? 1 : plan.batch,
        batchA: plan.batchStrideA,
        batchB: plan.batchStrideB,
        batchOut: plan.batchStrideOut,
        bias: addressOrNull(epilogue?.bias ?? null),
        activation: epilogue?.activation ? activationCodes[epilogue.activation] : 0,
      });
    },
  };
}
