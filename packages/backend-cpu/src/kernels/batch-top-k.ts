import type { Kernels } from "@latentkit/tensor";
import { address, type Runtime } from "../runtime.ts";

/** Bytes of the histogram that `nthKey` counts in. */
const histogramBytes = 2048 * 4;
/** Elements of a chunk. */
const grainElements = 131_072;

/** BatchTopK in the steps that src/wasm/assembly/batch-topk.ts explains. */
export function batchTopKKernels({
  heap,
  wasm,
  team,
}: Runtime): Pick<Kernels, "sparsifyBatchTopK"> {
  return {
    sparsifyBatchTopK(pre, kept, out) {
      const { rows, width, capacity } = out;
      const x = address(pre);
      const group = groupSize(rows, width, kept);
      const groups = Math.ceil(width / group);
      const division = { count: rows, grain: grainElements / width };
      const listBytes = (rows + 1) * 4;
      const maximaBytes = rows * groups * 4;
      heap.withScratch(maximaBytes + histogramBytes + 3 * listBytes, (maxima) => {
        const histogram = maxima + maximaBytes;
        const above = histogram + histogramBytes;
        const equal = above + listBytes;
        const starts = equal + listBytes;
        const matrix = [x, width, group, groups, maxima];
        team.run("batchGroupMaxima", matrix, division);
        // Fewer groups than elements wanted give no bound.
        const bound =
          rows * groups < kept
            ? Number.NEGATIVE_INFINITY
            : wasm.keyValue(wasm.nthKey(maxima, rows * groups, kept, histogram));
        team.run("batchCountAbove", [...matrix, bound, above, equal], division);
        const total = wasm.prefixSums(above, rows, starts);
        let cut = bound;
        let rest = kept - total;
        // More elements above the bound than wanted: the cut is the smallest key of those that are kept.
        if (total >= kept) {
          heap.withScratch(total * 4, (keys) => {
            team.run("batchCollectAbove", [...matrix, bound, starts, keys], division);
            const key = wasm.nthKey(keys, total, kept, histogram);
            cut = wasm.keyValue(key);
            wasm.countKeys(keys, starts, rows, key, above, equal);
            rest = kept - wasm.prefixSums(above, rows, starts);
          });
        }
        wasm.shareOut(equal, rows, rest);
        team.run(
          "batchKeepAbove",
          [
            ...matrix,
            cut,
            equal,
            capacity,
            address(out.counts),
            address(out.indices),
            address(out.values),
          ],
          division,
        );
      });
    },
  };
}

/** Neighbours in a group: few enough that there are at least four groups for each element wanted, where 16 allow it. */
function groupSize(rows: number, width: number, kept: number): number {
  return rows * Math.ceil(width / 64) >= 4 * kept ? 64 : 16;
}
