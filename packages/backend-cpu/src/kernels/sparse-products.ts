import type { Kernels, SparseRowsSlices } from "@latentkit/tensor";
import { address, addressOrNull, type Runtime } from "../runtime.ts";
import { stripBytes, stripColumns } from "../tasks/sparse-products.ts";

type SparseProductKernels = Pick<Kernels, "sparseDecode" | "sparseDot" | "sparseOuterAdd">;

/**
 * How products of sparse rows are computed: entry by entry as the rows have them, or grouped by latent, or as dense matrices.
 * Chosen by the number of entries alone, so that a repetition takes the same way.
 */
type Way = "dense" | "latents" | "rows";

/** A block of rows with its entries grouped by latent; addresses, see src/wasm/assembly/sparse-grouped.ts. */
interface LatentBlock {
  readonly first: number;
  readonly count: number;
  /** Entries of the block in grouped order. */
  readonly listed: number;
  readonly starts: number;
  readonly offsets: number;
  readonly payload: number;
}

/** Entries below which the dense detour is never worth its set-up. */
const leastDenseEntries = 1 << 16;
/** Entries for each latent from which grouping is worth it. */
const groupedEntries = 1;
/** Rows of a block: a strip of as many fits the second cache. */
const blockRows = 4096;
/** Bytes of the dense block that the detour goes through. */
const denseBlockBytes = 128 * 1024 * 1024;
/** Products of a chunk: some 50 microseconds of work. */
const productGrain = 524_288;
/** Columns of a chunk where entries are taken row by row and each chunk sees all of them. */
const columnGrain = 128;
/** Parts that entries are grouped in. */
const groupingParts = 8;
/** Chunks that the strips of a product are cut into at least, by ranges of latents. */
const leastChunks = 8;
/** Parts of the strips whose products each entry's dot product is summed from, in order. */
const dotParts = 4;
/** Entries of a chunk that brings dot products to their places. */
const scatterGrain = 65_536;
/** A row of a strip, on a cache line that no other thread has. */
const spareBytes = 2 * stripBytes;

export function sparseProductKernels({
  heap,
  wasm,
  team,
  gemm,
  provider,
}: Runtime): SparseProductKernels {
  function wayOf(rows: SparseRowsSlices): { readonly way: Way; readonly entries: number } {
    const entries = countEntries(rows, 0, rows.rows);
    const many = provider.denseFraction * rows.rows * rows.width;
    if (entries >= leastDenseEntries && entries > many) return { way: "dense", entries };
    return { way: entries < groupedEntries * rows.width ? "rows" : "latents", entries };
  }

  function countEntries(rows: SparseRowsSlices, first: number, count: number): number {
    return wasm.countEntries(address(rows.counts) + first * 4, count, rows.capacity);
  }

  /** Rows of a chunk that takes entries row by row. */
  function rowGrain(rows: SparseRowsSlices, entries: number, columns: number): number {
    return (productGrain * rows.rows) / (entries * columns + rows.rows * columns + 1);
  }

  /**
   * Visits the rows in blocks with the block's entries grouped by latent. `coefficients` may be 0 for none: see `placeEntries`.
   */
  function byLatent(
    rows: SparseRowsSlices,
    coefficients: number,
    visit: (block: LatentBlock) => void,
  ): void {
    const { capacity, width } = rows;
    const startBytes = (width + 1) * 4;
    for (let first = 0; first < rows.rows; first += blockRows) {
      const count = Math.min(blockRows, rows.rows - first);
      const listed = countEntries(rows, first, count);
      const step = Math.ceil(count / groupingParts);
      const parts = Math.ceil(count / step);
      const entry = first * capacity * 4;
      const [counts, indices] = [address(rows.counts) + first * 4, address(rows.indices) + entry];
      const list = [
        step,
        count,
        capacity,
        counts,
        indices,
        coefficients === 0 ? 0 : coefficients + entry,
        width,
      ];
      heap.withScratch(startBytes + parts * width * 4 + 2 * listed * 4, (starts) => {
        const cursors = starts + startBytes;
        const offsets = cursors + parts * width * 4;
        const payload = offsets + listed * 4;
        const division = { count: parts, grain: listed < 16_384 ? parts : 1 };
        team.run("sparseCountLatents", [...list, cursors], division);
        wasm.latentStarts(cursors, parts, width, starts);
        team.run("sparsePlaceEntries", [...list, cursors, offsets, payload], division);
        visit({ first, count, listed, starts, offsets, payload });
      });
    }
  }

  /** Packs `rows` rows of `x` into strips for as long as `use` runs. */
  function withStrips(
    x: number,
    rows: number,
    columns: number,
    use: (strips: number) => void,
  ): void {
    const strips = Math.ceil(columns / stripColumns);
    heap.withScratch(strips * rows * stripBytes, (packed) => {
      team.run("sparsePackStrips", [x, rows, columns, packed], { count: strips, grain: 1 });
      use(packed);
    });
  }

  /** Visits the rows in blocks, each with a scratch matrix [rows, width]; addresses are those of the block's first row. */
  function byDenseBlocks(
    rows: SparseRowsSlices,
    visit: (block: { first: number; count: number; dense: number }) => void,
  ): void {
    const step = Math.max(1, Math.min(rows.rows, Math.floor(denseBlockBytes / (rows.width * 4))));
    heap.withScratch(step * rows.width * 4, (dense) => {
      for (let first = 0; first < rows.rows; first += step)
        visit({ first, count: Math.min(step, rows.rows - first), dense });
    });
  }

  /** Between a block's entries, at `entries` of the whole list, and a dense matrix. */
  function fillDense(
    task: "sparseGather" | "sparseToDense",
    rows: SparseRowsSlices,
    first: number,
    count: number,
    from: number,
    to: number,
  ): void {
    const entry = first * rows.capacity * 4;
    const own =
      task === "sparseToDense" ? [from + entry, rows.width, to] : [from, rows.width, to + entry];
    const [counts, indices] = [address(rows.counts) + first * 4, address(rows.indices) + entry];
    team.run(task, [rows.capacity, counts, indices, ...own], { count, grain: 8 });
  }

  return {
    sparseDecode(rows, weight, bias, columns, out) {
      const { capacity, width } = rows;
      const [counts, indices, values] = [
        address(rows.counts),
        address(rows.indices),
        address(rows.values),
      ];
      const [matrix, start, to] = [address(weight), addressOrNull(bias), address(out)];
      const { way, entries } = wayOf(rows);
      if (way === "rows") {
        const args = [capacity, counts, indices, values, matrix, start, columns, to];
        const grain = rowGrain(rows, entries, columns);
        team.run("sparseDecodeRows", args, { count: rows.rows, grain });
      } else if (way === "latents") {
        byLatent(rows, values, ({ first, count, starts, offsets, payload }) => {
          const own = to + first * columns * 4;
          team.run(
            "sparseDecodeStrips",
            [width, starts, offsets, payload, matrix, start, count, columns, own],
            {
              count: Math.ceil(columns / stripColumns),
              grain: 1,
              scratchBytes: (count + 1) * stripBytes,
            },
          );
        });
      } else {
        if (bias !== null) wasm.gather(start, to, 4, 1, 1, rows.rows, columns, 0, 0, 0, 4);
        byDenseBlocks(rows, ({ first, count, dense: block }) => {
          fillDense("sparseToDense", rows, first, count, values, block);
          gemm.sgemm({
            transposeA: false,
            transposeB: false,
            m: count,
            n: columns,
            k: width,
            alpha: 1,
            beta: bias === null ? 0 : 1,
            a: block,
            strideA: width,
            b: matrix,
            strideB: columns,
            out: to + first * columns * 4,
            strideOut: columns,
          });
        });
      }
    },

    sparseDot(rows, weight, x, columns, out) {
      const { capacity, width } = rows;
      const [counts, indices, matrix, from, to] = [
        address(rows.counts),
        address(rows.indices),
        address(weight),
        address(x),
        address(out),
      ];
      const { way, entries } = wayOf(rows);
      if (way === "rows") {
        const args = [capacity, counts, indices, matrix, from, columns, to];
        const grain = rowGrain(rows, entries, columns);
        team.run("sparseDotRows", args, { count: rows.rows, grain });
      } else if (way === "latents") {
        byLatent(rows, 0, ({ first, count, listed, starts, offsets, payload }) => {
          withStrips(from + first * columns * 4, count, columns, (strips) => {
            const parts = Math.min(dotParts, Math.ceil(columns / stripColumns));
            heap.withScratch(parts * listed * 4, (dots) => {
              const ranges = Math.ceil(leastChunks / parts);
              team.run(
                "sparseDotStrips",
                [
                  parts,
                  ranges,
                  width,
                  starts,
                  offsets,
                  matrix,
                  strips,
                  count,
                  columns,
                  listed,
                  dots,
                ],
                { count: parts * ranges, grain: 1, scratchBytes: spareBytes },
              );
              team.run(
                "sparseScatterDots",
                [parts, listed, dots, payload, to + first * capacity * 4],
                { count: listed, grain: scatterGrain },
              );
            });
          });
        });
      } else {
        byDenseBlocks(rows, ({ first, count, dense: block }) => {
          gemm.sgemm({
            transposeA: false,
            transposeB: true,
            m: count,
            n: width,
            k: columns,
            alpha: 1,
            beta: 0,
            a: from + first * columns * 4,
            strideA: columns,
            b: matrix,
            strideB: columns,
            out: block,
            strideOut: width,
          });
          fillDense("sparseGather", rows, first, count, block, to);
        });
      }
    },

    sparseOuterAdd(rows, coefficients, x, columns, out) {
      const { capacity, width } = rows;
      const [counts, indices, factors] = [
        address(rows.counts),
        address(rows.indices),
        address(coefficients),
      ];
      const [from, to] = [address(x), address(out)];
      const { way, entries } = wayOf(rows);
      if (way === "rows") {
        const args = [rows.rows, capacity, counts, indices, factors, from, columns, to];
        const grain = entries * columns < productGrain ? columns : columnGrain;
        team.run("sparseOuterAddRows", args, { count: columns, grain });
      } else if (way === "latents") {
        byLatent(rows, factors, ({ first, count, starts, offsets, payload }) => {
          withStrips(from + first * columns * 4, count, columns, (strips) => {
            const own = Math.ceil(columns / stripColumns);
            const ranges = Math.max(1, Math.ceil(leastChunks / own));
            team.run(
              "sparseOuterAddStrips",
              [ranges, width, starts, offsets, payload, strips, count, columns, to],
              { count: own * ranges, grain: 1, scratchBytes: spareBytes },
            );
          });
        });
      } else {
        byDenseBlocks(rows, ({ first, count, dense: block }) => {
          fillDense("sparseToDense", rows, first, count, factors, block);
          gemm.sgemm({
            transposeA: true,
            transposeB: false,
            m: width,
            n: columns,
            k: count,
            alpha: 1,
            beta: 1,
            a: block,
            strideA: width,
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
