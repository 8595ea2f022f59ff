import { bytesPerElement } from "@latentkit/core";
import type { AttentionPlan, Kernels } from "@latentkit/tensor";
import { address, addressOrNull, type Runtime } from "../runtime.ts";

type TransformerKernels = Pick<
  Kernels,
  | "embedding"
  | "rmsNorm"
  | "rope"
  | "attention"
  | "softmaxRows"
  | "logSoftmaxRows"
  | "crossEntropyRows"
>;

/** Queries below which attention goes row by row instead of through matrix products. */
const fewQueries = 8;
/** Queries of one block; keys that a whole block does not see are left out of its products. */
const queryBlock = 128;

export function transformerKernels({ heap, wasm, gemm }: Runtime): TransformerKernels {
  /** Row by row: generation, where one new query meets many cached keys. */
  function attendRows(q: number, k: number, v: number, out: number, plan: AttentionPlan): void {
    const { batch, qLength, kLength, kCapacity, heads, kvHeads, dHead, scale } = plan;
    const group = heads / kvHeads;
    heap.withScratch((kLength + 4) * 4, (scores) => {
      for (let entry = 0; entry < batch; entry++) {
        for (let row = 0; row < qLength; row++) {
          for (let head = 0; head < heads; head++) {
            const at = ((entry * qLength + row) * heads + head) * dHead * 4;
            const cached = (entry * kCapacity * kvHeads + Math.floor(head / group)) * dHead * 4;
            wasm.attendOne(
              q + at,
              k + cached,
              v + cached,
              kvHeads * dHead,
              kLength - qLength + row + 1,
              dHead,
              scale,
              scores,
              out + at,
            );
          }
        }
      }
    });
  }

  /** By blocks of queries: scores = q k^T, causal softmax, out = scores v, each head through the matrix product. */
  function attendBlocks(q: number, k: number, v: number, out: number, plan: AttentionPlan): void {
    const { batch, qLength, kLength, kCapacity, heads, kvHeads, dHead, scale } = plan;
    const group = heads / kvHeads;
    const block = Math.min(queryBlock, qLength);
    heap.withScratch(block * kLength * 4 + 64, (scores) => {
      for (let entry = 0; entry < batch; entry++) {
        for (let head = 0; head < heads; head++) {
          const cached = (entry * kCapacity * kvHeads + Math.floor(head / group)) * dHead * 4;
          for (let start = 0; start < qLength; start += block) {
            const rows = Math.min(block, qLength - start);
            const seen = kLength - qLength + start + 1;
            const keys = seen + rows - 1;
            const at = ((entry * qLength + start) * heads + head) * dHead * 4;
            gemm.sgemm({
              transposeA: false,
              transposeB: true,
              m: rows,
              n: keys,
              k: dHead,
              alpha: scale,
              beta: 0,
              a: q + at,
              strideA: heads * dHead,
              b: k + cached,
              strideB: kvHeads * dHead,
              out: scores,
              strideOut: keys,
            });
            wasm.softmaxCausal(scores, rows, keys, keys, seen);
            gemm.sgemm({
              transposeA: false,
              transposeB: false,
              m: rows,
              n: dHead,
              k: keys,
              alpha: 1,
              beta: 0,
              a: scores,
              strideA: keys,
              b: v + cached,
              strideB: kvHeads * dHead,
              out: out + at,
              strideOut: heads * dHead,
            });
          }
        }
      }
    });
  }

  return {
    embedding(table, ids, rows, columns, out) {
      const [from, picks, to] = [address(table), address(ids), address(out)];
      const rowBytes = columns * bytesPerElement(table.dtype);
      if (table.dtype === "f32") {
        wasm.gatherRows(from, picks, rows, rowBytes, to);
        return;
      }
      heap.withScratch(rows * rowBytes, (gathered) => {
        wasm.gatherRows(from, picks, rows, rowBytes, gathered);
        if (table.dtype === "f16") wasm.widenF16Row(gathered, to, rows * columns);
        else wasm.widenBf16Row(gathered, to, rows * columns);
      });
    },

    rmsNorm(x, weight, rows, columns, epsilon, out, scale) {
      wasm.rmsNorm(
        address(x),
        addressOrNull(weight),
        rows,
        columns,
        epsilon,
        address(out),
        addressOrNull(scale),
      );
    },

    rope(x, cos, sin, positions, tokens, heads, dHead) {
      wasm.rope(
        address(x),
        address(cos),
        address(sin),
        address(positions),
        tokens,
        heads,
        dHead / 2,
      );
    },

    attention(q, k, v, out, plan) {
      const attend = plan.qLength < fewQueries ? attendRows : attendBlocks;
      attend(address(q), address(k), address(v), address(out), plan);
    },

    softmaxRows(x, rows, columns, out) {
      wasm.softmaxRows(address(x), rows, columns, address(out));
    },

    logSoftmaxRows(x, rows, columns, out) {
      wasm.logSoftmaxRows(address(x), rows, columns, address(out));
    },

    crossEntropyRows(logits, targets, rows, columns, out) {
      wasm.crossEntropyRows(address(logits), address(targets), rows, columns, address(out));
    },
  };
}
