import type { Tasks } from "./task.ts";

/** Elements of a chunk of rows that are sorted, and of one where the largest are looked for. */
export const sortGrain = 4096;
export const selectGrain = 65_536;

export const sortTasks = {
  /** Over rows. */
  sortRows({ wasm }, args, begin, end, scratch) {
    const [x = 0, columns = 0, descending = 0, integers = 0, values = 0, indices = 0] = args;
    const place = begin * columns * 4;
    wasm.sortRows(
      x + place,
      end - begin,
      columns,
      descending,
      integers,
      values + place,
      indices + place,
      scratch,
    );
  },

  /** Over rows. */
  topKRows({ wasm }, [x = 0, columns = 0, k = 0, values = 0, indices = 0], begin, end, scratch) {
    const place = begin * k * 4;
    wasm.topKRows(
      x + begin * columns * 4,
      end - begin,
      columns,
      k,
      values + place,
      indices + place,
      scratch,
    );
  },

  /** Over parts of `length` elements: each counts into a table of its own. */
  countOrders({ wasm }, args, begin, end) {
    const [x = 0, size = 0, length = 0, prefix = 0, above = 0, shift = 0, mask = 0, tables = 0] =
      args;
    for (let part = begin; part < end; part++) {
      wasm.countOrders(
        x,
        part * length,
        Math.min(size, (part + 1) * length),
        prefix,
        above,
        shift,
        mask,
        tables + part * (mask + 1) * 4,
      );
    }
  },

  /** Over the same parts: `starts` has, for each, where its keys go and how many equal ones it takes (two u32). */
  collectOrders({ wasm, memory }, args, begin, end) {
    const [x = 0, size = 0, length = 0, prefix = 0, shift = 0, starts = 0, keys = 0] = args;
    const plan = new Uint32Array(memory.buffer, starts, end * 2);
    for (let part = begin; part < end; part++) {
      wasm.collectOrders(
        x,
        part * length,
        Math.min(size, (part + 1) * length),
        prefix,
        shift,
        plan[part * 2 + 1] ?? 0,
        keys + (plan[part * 2] ?? 0) * 8,
      );
    }
  },

  /** Over rows. */
  cumsumRows({ wasm }, [x = 0, columns = 0, reverse = 0, exclusive = 0, out = 0], begin, end) {
    const place = begin * columns * 4;
    wasm.cumsumRows(x + place, end - begin, columns, reverse, exclusive, out + place);
  },

  /** Over bands of {@link cumsumBand} columns of each of the outer matrices. */
  cumsumColumns({ wasm }, args, begin, end, scratch) {
    const [x = 0, axis = 0, inner = 0, reverse = 0, exclusive = 0, out = 0] = args;
    const bands = Math.ceil(inner / cumsumBand);
    for (let unit = begin; unit < end; unit++) {
      const first = (unit % bands) * cumsumBand;
      const place = (Math.floor(unit / bands) * axis * inner + first) * 4;
      const width = Math.min(cumsumBand, inner - first);
      wasm.cumsumColumns(x + place, axis, inner, width, reverse, exclusive, out + place, scratch);
    }
  },
} as const satisfies Tasks;

/** Columns that are summed down together: 16 lines of memory a row. */
export const cumsumBand = 256;
