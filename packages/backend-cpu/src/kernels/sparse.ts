import type { Kernels } from "@latentkit/tensor";
import { address, type Runtime } from "../runtime.ts";

type SparseKernels = Pick<
  Kernels,
  | "sparsifyTopK"
  | "sparsifyJumpRelu"
  | "sparseScatterAdd"
  | "sparseCountFiring"
  | "sparseRowL0"
  | "sparseToDense"
  | "reluGradient"
  | "jumpReluGradient"
  | "jumpReluDense"
  | "jumpReluDenseGradient"
>;

export function sparseKernels({ heap, wasm }: Runtime): SparseKernels {
  return {
    sparsifyTopK(pre, k, allowed, out) {
      const run = (kept: number, mask: number): void => {
        heap.withScratch(wasm.selectScratchBytes(out.width), (scratch) => {
          wasm.sparsifyTopK(
            address(pre),
            out.rows,
            out.width,
            kept,
            out.capacity,
            mask,
            address(out.counts),
            address(out.indices),
            address(out.values),
            scratch,
          );
        });
      };
      if (allowed === null) run(k, 0);
      else
        heap.withScratch(out.width * 4, (mask) =>
          run(Math.min(k, wasm.selectionMask(address(allowed), out.width, mask)), mask),
        );
    },

    sparsifyJumpRelu(pre, threshold, bandwidth, out, preActivations) {
      wasm.sparsifyJumpRelu(
        address(pre),
        address(threshold),
        bandwidth / 2,
        out.rows,
        out.width,
        out.capacity,
        address(out.counts),
        address(out.indices),
        address(out.values),
        address(preActivations),
      );
    },

    sparseScatterAdd(rows, coefficients, out) {
      heap.withScratch(rows.width * 8, (sums) => {
        wasm.fillBytes(sums, 0, rows.width * 8);
        wasm.scatterSums(
          rows.rows,
          rows.capacity,
          address(rows.counts),
          address(rows.indices),
          address(coefficients),
          sums,
        );
        wasm.addSums(sums, address(out), rows.width);
      });
    },

    sparseCountFiring(rows, out) {
      wasm.countFiring(
        rows.rows,
        rows.capacity,
        address(rows.counts),
        address(rows.indices),
        address(rows.values),
        address(out),
      );
    },

    sparseRowL0(rows, out) {
      wasm.rowL0(
        rows.rows,
        rows.capacity,
        address(rows.counts),
        address(rows.values),
        address(out),
      );
    },

    sparseToDense(rows, out) {
      wasm.toDense(
        rows.rows,
        rows.capacity,
        address(rows.counts),
        address(rows.indices),
        address(rows.values),
        rows.width,
        address(out),
      );
    },

    reluGradient(rows, dValues, dPre) {
      wasm.reluGradient(
        rows.rows,
        rows.capacity,
        address(rows.counts),
        address(rows.values),
        address(dValues),
        address(dPre),
      );
    },

    jumpReluGradient(
      rows,
      preActivations,
      threshold,
      bandwidth,
      sparsity,
      dValues,
      dPre,
      dThreshold,
    ) {
      heap.withScratch(rows.width * 8, (sums) => {
        wasm.fillBytes(sums, 0, rows.width * 8);
        wasm.jumpReluGradient(
          rows.rows,
          rows.capacity,
          address(rows.counts),
          address(rows.indices),
          address(preActivations),
          address(threshold),
          bandwidth / 2,
          bandwidth,
          sparsity,
          address(dValues),
          address(dPre),
          sums,
        );
        wasm.addSums(sums, address(dThreshold), rows.width);
      });
    },

    jumpReluDense(pre, threshold, rows, width, out, fired) {
      wasm.jumpReluDense(
        address(pre),
        address(threshold),
        rows,
        width,
        address(out),
        address(fired),
      );
    },

    jumpReluDenseGradient(
      pre,
      threshold,
      rows,
      width,
      bandwidth,
      sparsity,
      dValues,
      dPre,
      dThreshold,
    ) {
      heap.withScratch(width * 8, (sums) => {
        wasm.fillBytes(sums, 0, width * 8);
        wasm.jumpReluDenseGradient(
          address(pre),
          address(threshold),
          rows,
          width,
          bandwidth / 2,
          bandwidth,
          sparsity,
          address(dValues),
          address(dPre),
          sums,
        );
        wasm.addSums(sums, address(dThreshold), width);
      });
    },
  };
}
