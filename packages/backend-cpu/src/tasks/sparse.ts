import type { Tasks } from "./task.ts";

/** Rows `begin .. end` of sparse rows, entry by entry. Where a list has `capacity` entries to a row, its address is the first row's. */
export const sparseTasks = {
  sparsifyTopK(
    { wasm },
    [pre = 0, width = 0, k = 0, capacity = 0, mask = 0, counts = 0, indices = 0, values = 0],
    begin,
    end,
    scratch,
  ) {
    const entry = begin * capacity * 4;
    wasm.sparsifyTopK(
      pre + begin * width * 4,
      end - begin,
      width,
      k,
      capacity,
      mask,
      counts + begin * 4,
      indices + entry,
      values + entry,
      scratch,
    );
  },

  sparsifyJumpRelu(
    { wasm },
    [pre = 0, threshold = 0, window = 0, width = 0, capacity = 0, counts = 0, ...lists],
    begin,
    end,
  ) {
    const [indices = 0, values = 0, preActivations = 0] = lists;
    const entry = begin * capacity * 4;
    wasm.sparsifyJumpRelu(
      pre + begin * width * 4,
      threshold,
      window,
      end - begin,
      width,
      capacity,
      counts + begin * 4,
      indices + entry,
      values + entry,
      preActivations + entry,
    );
  },

  sparseRowL0({ wasm }, [capacity = 0, counts = 0, values = 0, out = 0], begin, end) {
    const entry = begin * capacity * 4;
    wasm.rowL0(end - begin, capacity, counts + begin * 4, values + entry, out + begin * 4);
  },

  sparseToDense(
    { wasm },
    [capacity = 0, counts = 0, indices = 0, values = 0, width = 0, out = 0],
    begin,
    end,
  ) {
    const entry = begin * capacity * 4;
    wasm.toDense(
      end - begin,
      capacity,
      counts + begin * 4,
      indices + entry,
      values + entry,
      width,
      out + begin * width * 4,
    );
  },

  sparseGather(
    { wasm },
    [capacity = 0, counts = 0, indices = 0, dense = 0, width = 0, out = 0],
    begin,
    end,
  ) {
    const entry = begin * capacity * 4;
    wasm.fromDense(
      end - begin,
      capacity,
      counts + begin * 4,
      indices + entry,
      dense + begin * width * 4,
      width,
      out + entry,
    );
  },

  sparseReluGradient(
    { wasm },
    [capacity = 0, counts = 0, values = 0, dValues = 0, dPre = 0],
    begin,
    end,
  ) {
    const entry = begin * capacity * 4;
    wasm.sparseReluGradient(
      end - begin,
      capacity,
      counts + begin * 4,
      values + entry,
      dValues + entry,
      dPre + entry,
    );
  },

  /** Over parts of `step` rows, each with f64 sums of its own. */
  jumpReluGradient({ wasm }, args, begin, end) {
    const [step = 0, rows = 0, capacity = 0, counts = 0, indices = 0, preActivations = 0] = args;
    const [threshold = 0, window = 0, bandwidth = 0, sparsity = 0, dL0 = 0] = args.subarray(6);
    const [dValues = 0, dPre = 0, width = 0, sums = 0] = args.subarray(11);
    for (let part = begin; part < end; part++) {
      const first = part * step;
      const entry = first * capacity * 4;
      wasm.jumpReluGradient(
        Math.min(step, rows - first),
        capacity,
        counts + first * 4,
        indices + entry,
        preActivations + entry,
        threshold,
        window,
        bandwidth,
        sparsity,
        dL0 === 0 ? 0 : dL0 + first * 4,
        dValues + entry,
        dPre + entry,
        width,
        sums + part * width * 8,
      );
    }
  },

  /** Over parts of `step` rows, each with f64 sums of its own. */
  sparseScatterSums(
    { wasm },
    [
      step = 0,
      rows = 0,
      capacity = 0,
      counts = 0,
      indices = 0,
      coefficients = 0,
      width = 0,
      sums = 0,
    ],
    begin,
    end,
  ) {
    for (let part = begin; part < end; part++) {
      const first = part * step;
      const entry = first * capacity * 4;
      wasm.scatterSums(
        Math.min(step, rows - first),
        capacity,
        counts + first * 4,
        indices + entry,
        coefficients + entry,
        width,
        sums + part * width * 8,
      );
    }
  },

  /** Over parts of `step` rows, each with counts of its own. */
  sparseCountFiring(
    { wasm },
    [step = 0, rows = 0, capacity = 0, counts = 0, indices = 0, values = 0, width = 0, sums = 0],
    begin,
    end,
  ) {
    for (let part = begin; part < end; part++) {
      const first = part * step;
      const entry = first * capacity * 4;
      wasm.countFiring(
        Math.min(step, rows - first),
        capacity,
        counts + first * 4,
        indices + entry,
        values + entry,
        width,
        sums + part * width * 4,
      );
    }
  },

  /** Columns `begin .. end`. */
  jumpReluDense(
    { wasm },
    [pre = 0, threshold = 0, rows = 0, width = 0, out = 0, fired = 0],
    begin,
    end,
  ) {
    const at = begin * 4;
    wasm.jumpReluDense(pre + at, threshold + at, rows, width, end - begin, out + at, fired + at);
  },

  /** Columns `begin .. end`. */
  jumpReluDenseGradient({ wasm }, args, begin, end, scratch) {
    const [pre = 0, threshold = 0, rows = 0, width = 0, window = 0, bandwidth = 0] = args;
    const [sparsity = 0, dValues = 0, dPre = 0, dThreshold = 0] = args.subarray(6);
    const at = begin * 4;
    wasm.jumpReluDenseGradient(
      pre + at,
      threshold + at,
      rows,
      width,
      end - begin,
      window,
      bandwidth,
      sparsity,
      dValues + at,
      dPre + at,
      scratch,
    );
    wasm.addSums(scratch, 1, dThreshold + at, end - begin);
  },

  clipRowNorms({ wasm }, [x = 0, columns = 0, maximum = 0], begin, end) {
    wasm.clipRowNorms(x + begin * columns * 4, end - begin, columns, maximum);
  },
} as const satisfies Tasks;
