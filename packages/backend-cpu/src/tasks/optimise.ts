import type { Tasks } from "./task.ts";

/** Elements of a block; tasks count in blocks, so that every chunk starts on a whole vector. */
export const optimiseBlock = 1024;
/** Blocks of a chunk: some hundred microseconds, bound by memory. */
export const optimiseGrain = 32;

export const optimiseTasks = {
  /**
   * `[parameter, gradient, first, second, length, scale (an address or 0), beta1, beta2, size, root, epsilon, decay, l2]`, over blocks.
   * `first` is 0 where there is no momentum.
   */
  adam(
    { wasm },
    [
      p = 0,
      g = 0,
      m = 0,
      v = 0,
      length = 0,
      scale = 0,
      b1 = 0,
      b2 = 0,
      size = 0,
      root = 0,
      epsilon = 0,
      decay = 0,
      l2 = 0,
    ],
    begin,
    end,
  ) {
    const offset = begin * optimiseBlock * 4;
    const count = Math.min(length, end * optimiseBlock) - begin * optimiseBlock;
    if (m === 0)
      wasm.adamWithoutMomentum(
        p + offset,
        g + offset,
        v + offset,
        count,
        scale,
        b2,
        1 - b2,
        size,
        root,
        epsilon,
        decay,
        l2,
      );
    else
      wasm.adam(
        p + offset,
        g + offset,
        m + offset,
        v + offset,
        count,
        scale,
        b1,
        1 - b1,
        b2,
        1 - b2,
        size,
        root,
        epsilon,
        decay,
        l2,
      );
  },

  /** `[parameter, gradient, velocity (0 for none), length, scale (an address or 0), learningRate, momentum, nesterov, l2]`, over blocks. */
  sgd(
    { wasm },
    [
      p = 0,
      g = 0,
      v = 0,
      length = 0,
      scale = 0,
      learningRate = 0,
      momentum = 0,
      nesterov = 0,
      l2 = 0,
    ],
    begin,
    end,
  ) {
    const offset = begin * optimiseBlock * 4;
    const count = Math.min(length, end * optimiseBlock) - begin * optimiseBlock;
    wasm.sgd(
      p + offset,
      g + offset,
      v === 0 ? 0 : v + offset,
      count,
      scale,
      learningRate,
      momentum,
      nesterov,
      l2,
    );
  },

  /** `[x, columns]`, over rows. */
  normalizeRows({ wasm }, [x = 0, columns = 0], begin, end) {
    wasm.normalizeRows(x + begin * columns * 4, end - begin, columns);
  },

  /** `[gradient, weight, columns]`, over rows. */
  removeParallelRows({ wasm }, [gradient = 0, weight = 0, columns = 0], begin, end) {
    const offset = begin * columns * 4;
    wasm.removeParallelRows(gradient + offset, weight + offset, end - begin, columns);
  },
} as const satisfies Tasks;
