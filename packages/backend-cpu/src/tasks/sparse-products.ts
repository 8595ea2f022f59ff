import type { Tasks } from "./task.ts";

/** Columns of a strip; src/wasm/assembly/sparse-grouped.ts has the same number. */
export const stripColumns = 32;
/** Bytes of a strip's row. */
export const stripBytes: number = stripColumns * 4;

/** Products of sparse rows with dense matrices: row by row, or in strips of columns over entries grouped by latent. */
export const sparseProductTasks = {
  /** Over rows. */
  sparseDecodeRows({ wasm }, args, begin, end) {
    const [capacity = 0, counts = 0, indices = 0, values = 0, weight = 0, bias = 0] = args;
    const [columns = 0, out = 0] = args.subarray(6);
    const entry = begin * capacity * 4;
    wasm.decodeRows(
      end - begin,
      capacity,
      counts + begin * 4,
      indices + entry,
      values + entry,
      weight,
      bias,
      columns,
      out + begin * columns * 4,
    );
  },

  /** Over rows. */
  sparseDotRows(
    { wasm },
    [capacity = 0, counts = 0, indices = 0, weight = 0, x = 0, columns = 0, out = 0],
    begin,
    end,
  ) {
    const entry = begin * capacity * 4;
    wasm.dotRows(
      end - begin,
      capacity,
      counts + begin * 4,
      indices + entry,
      weight,
      x + begin * columns * 4,
      columns,
      out + entry,
    );
  },

  /** Over columns. */
  sparseOuterAddRows(
    { wasm },
    [
      rows = 0,
      capacity = 0,
      counts = 0,
      indices = 0,
      coefficients = 0,
      x = 0,
      columns = 0,
      out = 0,
    ],
    begin,
    end,
  ) {
    wasm.outerAddRows(
      rows,
      capacity,
      counts,
      indices,
      coefficients,
      x + begin * 4,
      columns,
      end - begin,
      out + begin * 4,
    );
  },

  /** Over parts of `step` rows, each with a histogram of its own. */
  sparseCountLatents(
    { wasm },
    [
      step = 0,
      rows = 0,
      capacity = 0,
      counts = 0,
      indices = 0,
      coefficients = 0,
      width = 0,
      out = 0,
    ],
    begin,
    end,
  ) {
    for (let part = begin; part < end; part++) {
      const first = part * step;
      const entry = first * capacity * 4;
      wasm.countLatents(
        Math.min(step, rows - first),
        capacity,
        counts + first * 4,
        indices + entry,
        coefficients === 0 ? 0 : coefficients + entry,
        width,
        out + part * width * 4,
      );
    }
  },

  /** Over the same parts. */
  sparsePlaceEntries({ wasm }, args, begin, end) {
    const [step = 0, rows = 0, capacity = 0, counts = 0, indices = 0, coefficients = 0] = args;
    const [width = 0, cursors = 0, offsets = 0, payload = 0] = args.subarray(6);
    for (let part = begin; part < end; part++) {
      const first = part * step;
      const entry = first * capacity * 4;
      wasm.placeEntries(
        first,
        Math.min(step, rows - first),
        capacity,
        counts + first * 4,
        indices + entry,
        coefficients === 0 ? 0 : coefficients + entry,
        cursors + part * width * 4,
        offsets,
        payload,
      );
    }
  },

  /** Over strips: `[x, rows, columns, strips]`. */
  sparsePackStrips({ wasm }, [x = 0, rows = 0, columns = 0, strips = 0], begin, end) {
    for (let strip = begin; strip < end; strip++) {
      const first = strip * stripColumns;
      const count = Math.min(stripColumns, columns - first);
      wasm.packStrip(x + first * 4, rows, columns, count, strips + strip * rows * stripBytes);
    }
  },

  /** Over strips, or parts of them: position p is a range of the latents in strip p / ranges. */
  sparseOuterAddStrips({ wasm }, args, begin, end, scratch) {
    const [ranges = 1, width = 0, starts = 0, offsets = 0, factors = 0, strips = 0] = args;
    const [rows = 0, columns = 0, out = 0] = args.subarray(6);
    for (let position = begin; position < end; position++) {
      const strip = Math.floor(position / ranges);
      const [from, to] = rangeOf(position % ranges, ranges, width);
      const first = strip * stripColumns;
      wasm.outerAddStrip(
        from,
        to,
        starts,
        offsets,
        factors,
        strips + strip * rows * stripBytes,
        columns,
        Math.min(stripColumns, columns - first),
        out + (from * columns + first) * 4,
        scratch,
      );
    }
  },

  /** Over strips. A strip of the result is made in scratch memory, with room for one more row. */
  sparseDecodeStrips({ wasm }, args, begin, end, scratch) {
    const [width = 0, starts = 0, offsets = 0, factors = 0, weight = 0, bias = 0] = args;
    const [rows = 0, columns = 0, out = 0] = args.subarray(6);
    const spare = scratch + rows * stripBytes;
    for (let strip = begin; strip < end; strip++) {
      const first = strip * stripColumns;
      const count = Math.min(stripColumns, columns - first);
      wasm.fillStrip(bias === 0 ? 0 : bias + first * 4, rows, count, scratch);
      const from = weight + first * 4;
      wasm.decodeStrip(width, starts, offsets, factors, from, columns, count, scratch, spare);
      wasm.unpackStrip(scratch, rows, columns, count, out + first * 4);
    }
  },

  /**
   * Over parts of the strips times ranges of the latents: position p is range p % ranges in part p / ranges. Each part adds its
   * strips' products to `dots` of its own, [parts, listed] in grouped order.
   */
  sparseDotStrips({ wasm }, args, begin, end, scratch) {
    const [parts = 1, ranges = 1, width = 0, starts = 0, offsets = 0, weight = 0] = args;
    const [strips = 0, rows = 0, columns = 0, listed = 0, dots = 0] = args.subarray(6);
    const step = Math.ceil(Math.ceil(columns / stripColumns) / parts) * stripColumns;
    for (let position = begin; position < end; position++) {
      const part = Math.floor(position / ranges);
      const [from, to] = rangeOf(position % ranges, ranges, width);
      const own = dots + part * listed * 4;
      const first = wasm.numberAt(starts + from * 4);
      const last = wasm.numberAt(starts + to * 4);
      wasm.fillBytes(own + first * 4, 0, (last - first) * 4);
      const bound = Math.min(columns, (part + 1) * step);
      for (let column = part * step; column < bound; column += stripColumns) {
        wasm.dotStrip(
          from,
          to,
          starts,
          offsets,
          weight + (from * columns + column) * 4,
          columns,
          Math.min(stripColumns, columns - column),
          strips + (column / stripColumns) * rows * stripBytes,
          own,
          scratch,
        );
      }
    }
  },

  /** Over entries in grouped order: sums of the parts, to their places. */
  sparseScatterDots({ wasm }, [parts = 1, listed = 0, dots = 0, places = 0, out = 0], begin, end) {
    wasm.scatterDots(begin, end, parts, listed, dots, places, out);
  },
} as const satisfies Tasks;

/** The latents of one of `ranges` ranges. */
function rangeOf(index: number, ranges: number, width: number): readonly [number, number] {
  const step = Math.ceil(width / ranges);
  return [Math.min(width, index * step), Math.min(width, (index + 1) * step)];
}
