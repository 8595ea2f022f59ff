import type { Kernels, ReduceOperator } from "@latentkit/tensor";
import { address, type Runtime } from "../runtime.ts";

type ReduceKernels = Pick<Kernels, "reduce" | "argmaxRows" | "topKRows">;

/** As src/wasm/assembly/reduce.ts numbers them. */
const codes: Readonly<Record<ReduceOperator, number>> = {
  max: 0,
  mean: 1,
  sum: 2,
  sumOfSquares: 3,
};

export function reduceKernels({ heap, wasm }: Runtime): ReduceKernels {
  return {
    reduce(operator, x, outer, axis, inner, out) {
      const [from, to] = [address(x), address(out)];
      if (inner === 1) wasm.reduceRows(codes[operator], from, outer, axis, to);
      else if (axis === 0)
        wasm.fillF32(
          to,
          operator === "max" ? Number.NEGATIVE_INFINITY : operator === "mean" ? Number.NaN : 0,
          outer * inner,
        );
      else
        heap.withScratch(inner * 8, (scratch) =>
          wasm.reduceColumns(codes[operator], from, outer, axis, inner, to, scratch),
        );
    },

    argmaxRows(x, rows, columns, out) {
      wasm.argmaxRows(address(x), rows, columns, address(out));
    },

    topKRows(x, rows, columns, k, values, indices) {
      heap.withScratch(wasm.selectScratchBytes(columns), (scratch) => {
        wasm.topKRows(address(x), rows, columns, k, address(values), address(indices), scratch);
      });
    },
  };
}
