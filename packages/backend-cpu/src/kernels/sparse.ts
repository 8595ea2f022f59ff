import type { Kernels, SparseRowsSlices } from "@latentkit/tensor";
import { address, addressOrNull, type Runtime } from "../runtime.ts";

type SparseKernels = Pick<
  Kernels,
  | "sparsifyTopK"
  | "sparsifyJumpRelu"
  | "sparseScatterAdd"
  | "sparseCountFiring"
  | "sparseRowL0"
  | "sparseToDense"
  | "sparseGather"
  | "sparseSmallest"
  | "reluGradient"
  | "jumpReluGradient"
  | "jumpReluDense"
  | "jumpReluDenseGradient"
  | "clipRowNorms"
>;

/** Elements of a dense matrix that a chunk goes through, some 50 microseconds of work. */
const denseGrain = 131_072;
/** Entries that a chunk goes through. */
const entryGrain = 32_768;
/** Columns of a chunk where sums run down the rows: as many f64 sums stay in the first cache. */
const columnGrain = 1024;
/** Parts that rows are cut into at most where each part has sums of its own. */
const mostParts = 8;

export function sparseKernels({ heap, wasm, team }: Runtime): SparseKernels {
  /**
   * How rows are cut into parts with sums of their own, which are then added in order: by the number of entries alone, so that
   * results depend on nothing else, and so that clearing and adding the sums costs less than the entries.
   */
  function partsOf(rows: SparseRowsSlices): { readonly parts: number; readonly step: number } {
    const entries = wasm.countEntries(address(rows.counts), rows.rows, rows.capacity);
    const wanted = Math.min(mostParts, Math.floor(entries / (2 * rows.width)), rows.rows);
    const step = Math.ceil(rows.rows / Math.max(1, wanted));
    return { parts: Math.ceil(rows.rows / step), step };
  }

  return {
    sparsifyTopK(pre, k, allowed, out) {
      const run = (kept: number, mask: number): void => {
        team.run(
          "sparsifyTopK",
          [
            address(pre),
            out.width,
            kept,
            out.capacity,
            mask,
            address(out.counts),
            address(out.indices),
            address(out.values),
          ],
          {
            count: out.rows,
            grain: denseGrain / out.width,
            scratchBytes: wasm.selectScratchBytes(out.width),
          },
        );
      };
      if (allowed === null) run(k, 0);
      else
        heap.withScratch(out.width * 4, (mask) =>
          run(Math.min(k, wasm.selectionMask(address(allowed), out.width, mask)), mask),
        );
    },

    sparsifyJumpRelu(pre, threshold, bandwidth, out, preActivations) {
      team.run(
        "sparsifyJumpRelu",
        [
          address(pre),
          address(threshold),
          bandwidth / 2,
          out.width,
          out.capacity,
          address(out.counts),
          address(out.indices),
          address(out.values),
          address(preActivations),
        ],
        { count: out.rows, grain: denseGrain / out.width },
      );
    },

    sparseScatterAdd(rows, coefficients, out) {
      const { parts, step } = partsOf(rows);
      heap.withScratch(parts * rows.width * 8, (sums) => {
        team.run(
          "sparseScatterSums",
          [
            step,
            rows.rows,
            rows.capacity,
            address(rows.counts),
            address(rows.indices),
            address(coefficients),
            rows.width,
            sums,
          ],
          { count: parts, grain: 1 },
        );
        wasm.addSums(sums, parts, address(out), rows.width);
      });
    },

    sparseCountFiring(rows, out) {
      const { parts, step } = partsOf(rows);
      heap.withScratch(parts * rows.width * 4, (sums) => {
        team.run(
          "sparseCountFiring",
          [
            step,
            rows.rows,
            rows.capacity,
            address(rows.counts),
            address(rows.indices),
            address(rows.values),
            rows.width,
            sums,
          ],
          { count: parts, grain: 1 },
        );
        wasm.addCounts(sums, parts, address(out), rows.width);
      });
    },

    sparseRowL0(rows, out) {
      team.run(
        "sparseRowL0",
        [rows.capacity, address(rows.counts), address(rows.values), address(out)],
        { count: rows.rows, grain: entryGrain / rows.capacity },
      );
    },

    sparseToDense(rows, out) {
      team.run(
        "sparseToDense",
        [
          rows.capacity,
          address(rows.counts),
          address(rows.indices),
          address(rows.values),
          rows.width,
          address(out),
        ],
        { count: rows.rows, grain: denseGrain / rows.width },
      );
    },

    sparseGather(rows, dense, out) {
      team.run(
        "sparseGather",
        [
          rows.capacity,
          address(rows.counts),
          address(rows.indices),
          address(dense),
          rows.width,
          address(out),
        ],
        { count: rows.rows, grain: entryGrain / rows.capacity },
      );
    },

    sparseSmallest(rows, out) {
      const [counts, values] = [address(rows.counts), address(rows.values)];
      wasm.fillF32(address(out), wasm.smallestValue(rows.rows, rows.capacity, counts, values), 1);
    },

    reluGradient(rows, dValues, dPre) {
      team.run(
        "sparseReluGradient",
        [
          rows.capacity,
          address(rows.counts),
          address(rows.values),
          address(dValues),
          address(dPre),
        ],
        { count: rows.rows, grain: entryGrain / rows.capacity },
      );
    },

    jumpReluGradient(
      rows,
      preActivations,
      threshold,
      bandwidth,
      sparsity,
      dL0,
      dValues,
      dPre,
      dThreshold,
    ) {
      const { parts, step } = partsOf(rows);
      heap.withScratch(parts * rows.width * 8, (sums) => {
        team.run(
          "jumpReluGradient",
          [
            step,
            rows.rows,
            rows.capacity,
            address(rows.counts),
            address(rows.indices),
            address(preActivations),
            address(threshold),
            bandwidth / 2,
            bandwidth,
            sparsity,
            addressOrNull(dL0),
            address(dValues),
            address(dPre),
            rows.width,
            sums,
          ],
          { count: parts, grain: 1 },
        );
        wasm.addSums(sums, parts, address(dThreshold), rows.width);
      });
    },

    jumpReluDense(pre, threshold, rows, width, out, fired) {
      team.run(
        "jumpReluDense",
        [address(pre), address(threshold), rows, width, address(out), address(fired)],
        { count: width, grain: columnGrain },
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
      team.run(
        "jumpReluDenseGradient",
        [
          address(pre),
          address(threshold),
          rows,
          width,
          bandwidth / 2,
          bandwidth,
          sparsity,
          address(dValues),
          address(dPre),
          address(dThreshold),
        ],
        { count: width, grain: columnGrain, scratchBytes: columnGrain * 8 },
      );
    },

    clipRowNorms(x, rows, columns, maximum) {
      team.run("clipRowNorms", [address(x), columns, maximum], {
        count: rows,
        grain: denseGrain / Math.max(1, columns),
      });
    },
  };
}
