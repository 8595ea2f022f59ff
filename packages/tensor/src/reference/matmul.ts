import type { Kernels, MatmulEpilogue, Slice } from "../backend.ts";
import { elementwiseKernels } from "./elementwise.ts";
import { f32 } from "./storage.ts";

type MatmulKernels = Pick<Kernels, "matmul">;

export const matmulKernels: MatmulKernels = {
  matmul(a, b, out, plan) {
    const [left, right, target] = [f32(a), f32(b), f32(out)];
    const { m, n, k, alpha, beta } = plan;
    const [aRow, aInner] = plan.transposeA ? [1, plan.rowStrideA] : [plan.rowStrideA, 1];
    const [bInner, bColumn] = plan.transposeB ? [1, plan.rowStrideB] : [plan.rowStrideB, 1];
    for (let entry = 0; entry < plan.batch; entry++) {
      for (let row = 0; row < m; row++) {
        const outStart = entry * plan.batchStrideOut + row * plan.rowStrideOut;
        for (let column = 0; column < n; column++) {
          const aStart = entry * plan.batchStrideA + row * aRow;
          const bStart = entry * plan.batchStrideB + column * bColumn;
          let sum = 0;
          for (let inner = 0; inner < k; inner++)
            sum +=
              (left[aStart + inner * aInner] ?? Number.NaN) *
              (right[bStart + inner * bInner] ?? Number.NaN);
          const at = outStart + column;
          // With beta = 0 the output is not read: fresh memory may hold NaN.
          target[at] = alpha * sum + (beta === 0 ? 0 : beta * (target[at] ?? Number.NaN));
        }
        if (plan.epilogue !== undefined)
          finishRow({ ...out, offset: out.offset + outStart, length: n }, plan.epilogue);
      }
    }
  },
};

/** `row = activation(row + bias)`. */
function finishRow(row: Slice, { bias, activation }: MatmulEpilogue): void {
  if (bias !== null) {
    const [target, shifts] = [f32(row), f32(bias)];
    for (const [column, shift] of shifts.entries())
      target[column] = (target[column] ?? Number.NaN) + shift;
  }
  if (activation !== null) elementwiseKernels.unary(activation, row, row);
}
