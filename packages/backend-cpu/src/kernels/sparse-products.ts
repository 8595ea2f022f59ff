import type { Kernels, SparseRowsSlices } from "@latentkit/tensor";
import { address, addressOrNull, type Runtime } from "../runtime.ts";

type SparseProductKernels = Pick<Kernels, "sparseDecode" | "sparseDot" | "sparseOuterAdd">;

/**
 * How products of sparse rows are computed: entry by entry as the rows have them, or grouped by latent, or as dense matrices.
 * Chosen by the number of entries alone, so that a repetition takes the same way.
 */
type Way = "dense" | "latents" | "rows";

/** A block of rows with its entries grouped by latent; addresses, see `groupByLatent` of the kernels. */
interface LatentBlock {
  readonly first: number;
  readonly entries: number;
  readonly starts: number;
  readonly offsets: number;
  readonly payload: number;
}

/** Entries below which the dense detour is never worth its set-up. */
const leastDenseEntries = 1 << 16;
/** Bytes of the small matrix's rows that are met at random: a part of the last cache. */
const groupedBlockBytes = 16 * 1024 * 1024;
/** Bytes of the dense block that the detour goes through. */
const denseBlockBytes = 128 * 1024 * 1024;

export function sparseProductKernels({ heap, wasm, gemm }: Runtime): SparseProductKernels {
  function wayOf(rows: SparseRowsSlices): Way {
    const entries = countEntries(rows, 0, rows.rows);
    if (entries < rows.width) return "rows";
    return entries >= leastDenseEntries && entries > gemm.denseFraction * rows.rows * rows.width
      ? "dense"
      : "latents";
  }

  function countEntries(rows: SparseRowsSlices, first: number, count: number): number {
    return wasm.countEntries(address(rows.counts) + first * 4, count, rows.capacity);
  }

  /**
   * Visits the rows in blocks whose part of a matrix of `columns` fits the last cache, with the block's entries grouped by
   * latent; `entries` is the byte offset of the block's first entry. `coefficients` may be 0: see `groupByLatent`.
   */
  function byLatent(
    rows: SparseRowsSlices,
    columns: number,
    coefficients: number,
    visit: (block: LatentBlock) => void,
  ): void {
    const step = Math.max(1, Math.min(rows.rows, Math.floor(groupedBlockBytes / (columns * 4))));
    const startBytes = (rows.width + 2) * 4;
    for (let first = 0; first < rows.rows; first += step) {
      const count = Math.min(step, rows.rows - first);
      const listBytes = countEntries(rows, first, count) * 4;
      const entries = first * rows.capacity * 4;
      heap.withScratch(startBytes + 2 * listBytes, (starts) => {
        const offsets = starts + startBytes;
        const payload = offsets + listBytes;
        wasm.groupByLatent(
          count,
          rows.capacity,
          address(rows.counts) + first * 4,
          address(rows.indices) + entries,
          coefficients === 0 ? 0 : coefficients + entries,
          rows.width,
          columns * 4,
          starts,
          offsets,
          payload,
        );
        visit({ first, entries, starts, offsets, payload });
      });
    }
  }

  /** Visits the rows in blocks, each with a scratch matrix [rows, width]; addresses are those of the block's first row. */
  function byDenseBlocks(
    rows: SparseRowsSlices,
    visit: (block: {
      first: number;
      count: number;
      counts: number;
      entries: number;
      dense: number;
    }) => void,
  ): void {
    const step = Math.max(1, Math.min(rows.rows, Math.floor(denseBlockBytes / (rows.width * 4))));
    heap.withScratch(step * rows.width * 4, (dense) => {
      for (let first = 0; first < rows.rows; first += step) {
        const count = Math.min(step, rows.rows - first);
        visit({
          first,
          count,
          counts: address(rows.counts) + first * 4,
          entries: first * rows.capacity * 4,
          dense,
        });
      }
    });
  }

  return {
    sparseDecode(rows, weight, bias, columns, out) {
      const [counts, indices, values] = [
        address(rows.counts),
        address(rows.indices),
        address(rows.values),
      ];
      const [matrix, to] = [address(weight), address(out)];
      const way = wayOf(rows);
      if (way === "rows") {
        wasm.decodeRows(
          rows.rows,
          rows.capacity,
          counts,
          indices,
          values,
          matrix,
          addressOrNull(bias),
          columns,
          to,
        );
        return;
      }
      if (bias !== null) wasm.gather(address(bias), to, 4, 1, 1, rows.rows, columns, 0, 0, 0, 4);
      else if (way === "latents") wasm.fillBytes(to, 0, rows.rows * columns * 4);
      if (way === "latents") {
        byLatent(rows, columns, values, ({ first, starts, offsets, payload }) => {
          wasm.decodeGrouped(
            rows.width,
            starts,
            offsets,
            payload,
            matrix,
            columns,
            to + first * columns * 4,
          );
        });
        return;
      }
      byDenseBlocks(rows, ({ first, count, counts: ownCounts, entries, dense }) => {
        wasm.toDense(
          count,
          rows.capacity,
          ownCounts,
          indices + entries,
          values + entries,
          rows.width,
          dense,
        );
        gemm.sgemm({
          transposeA: false,
          transposeB: false,
          m: count,
          n: columns,
          k: rows.width,
          alpha: 1,
          beta: bias === null ? 0 : 1,
          a: dense,
          strideA: rows.width,
          b: matrix,
          strideB: columns,
          out: to + first * columns * 4,
          strideOut: columns,
        });
      });
    },

    sparseDot(rows, weight, x, columns, out) {
      const [counts, indices, matrix, from, to] = [
        address(rows.counts),
        address(rows.indices),
        address(weight),
        address(x),
        address(out),
      ];
      const way = wayOf(rows);
      if (way === "rows")
        wasm.dotRows(rows.rows, rows.capacity, counts, indices, matrix, from, columns, to);
      else if (way === "latents") {
        byLatent(rows, columns, 0, ({ first, entries, starts, offsets, payload }) => {
          wasm.dotGrouped(
            rows.width,
            starts,
            offsets,
            payload,
            matrix,
            from + first * columns * 4,
            columns,
            to + entries,
          );
        });
      } else {
        byDenseBlocks(rows, ({ first, count, counts: ownCounts, entries, dense }) => {
          gemm.sgemm({
            transposeA: false,
            transposeB: true,
            m: count,
            n: rows.width,
            k: columns,
            alpha: 1,
            beta: 0,
            a: from + first * columns * 4,
            strideA: columns,
            b: matrix,
            strideB: columns,
            out: dense,
            strideOut: rows.width,
          });
          wasm.fromDense(
            count,
            rows.capacity,
            ownCounts,
            indices + entries,
            dense,
            rows.width,
            to + entries,
          );
        });
      }
    },

    sparseOuterAdd(rows, coefficients, x, columns, out) {
      const [counts, indices, factors] = [
        address(rows.counts),
        address(rows.indices),
        address(coefficients),
      ];
      const [from, to] = [address(x), address(out)];
      const way = wayOf(rows);
      if (way === "rows")
        wasm.outerAddRows(rows.rows, rows.capacity, counts, indices, factors, from, columns, to);
      else if (way === "latents") {
        byLatent(rows, columns, factors, ({ first, starts, offsets, payload }) => {
          wasm.outerAddGrouped(
            rows.width,
            starts,
            offsets,
            payload,
            from + first * columns * 4,
            columns,
            to,
          );
        });
      } else {
        byDenseBlocks(rows, ({ first, count, counts: ownCounts, entries, dense }) => {
          wasm.toDense(
            count,
            rows.capacity,
            ownCounts,
            indices + entries,
            factors + entries,
            rows.width,
            dense,
          );
          gemm.sgemm({
            transposeA: true,
            transposeB: false,
            m: rows.width,
            n: columns,
            k: count,
            alpha: 1,
            beta: 1,
            a: dense,
            strideA: rows.width,
            b: from + first * columns * 4,
            strideB: columns,
            out: to,
            strideOut: columns,
          });
        });
      }
    },
  };
}
