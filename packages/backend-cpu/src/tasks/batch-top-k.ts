import type { Tasks } from "./task.ts";

/** Rows `begin .. end` of a matrix of which BatchTopK keeps the largest elements; see src/wasm/assembly/batch-topk.ts. */
export const batchTopKTasks = {
  batchGroupMaxima({ wasm }, [x = 0, columns = 0, group = 0, groups = 0, maxima = 0], begin, end) {
    const [from, to] = [x + begin * columns * 4, maxima + begin * groups * 4];
    wasm.groupMaxima(from, end - begin, columns, group, to);
  },

  batchCountAbove(
    { wasm },
    [x = 0, columns = 0, group = 0, groups = 0, maxima = 0, bound = 0, above = 0, equal = 0],
    begin,
    end,
  ) {
    wasm.countAbove(
      x + begin * columns * 4,
      end - begin,
      columns,
      group,
      maxima + begin * groups * 4,
      bound,
      above + begin * 4,
      equal + begin * 4,
    );
  },

  batchCollectAbove(
    { wasm },
    [x = 0, columns = 0, group = 0, groups = 0, maxima = 0, bound = 0, starts = 0, keys = 0],
    begin,
    end,
  ) {
    wasm.collectAbove(
      x + begin * columns * 4,
      end - begin,
      columns,
      group,
      maxima + begin * groups * 4,
      bound,
      starts + begin * 4,
      keys,
    );
  },

  batchKeepAbove({ wasm }, args, begin, end) {
    const [x = 0, columns = 0, group = 0, groups = 0, maxima = 0, cut = 0, equal = 0] = args;
    const [capacity = 0, counts = 0, indices = 0, values = 0] = args.subarray(7);
    const entry = begin * capacity * 4;
    wasm.keepAbove(
      x + begin * columns * 4,
      end - begin,
      columns,
      group,
      maxima + begin * groups * 4,
      cut,
      equal + begin * 4,
      capacity,
      counts + begin * 4,
      indices + entry,
      values + entry,
    );
  },
} as const satisfies Tasks;
