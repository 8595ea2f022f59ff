import type { Tasks } from "./task.ts";

/** Numbers of a chunk of rows: some tens of microseconds of work. */
export const normGrain = 65_536;
export const exponentialGrain = 32_768;

/** Rows whose part of a weight's gradient is summed into one partial sum. Fixed, so that results do not depend on threads. */
export const rowsOfPart = 32;

export const normaliseTasks = {
  /** Over rows. */
  rmsNorm({ wasm }, [x = 0, weight = 0, columns = 0, epsilon = 0, out = 0, scale = 0], begin, end) {
    wasm.rmsNorm(
      x + begin * columns * 4,
      weight,
      end - begin,
      columns,
      epsilon,
      out + begin * columns * 4,
      ofRow(scale, begin),
    );
  },

  /** Over rows. */
  layerNorm(
    { wasm },
    [x = 0, weight = 0, bias = 0, columns = 0, epsilon = 0, out = 0, mean = 0, scale = 0],
    begin,
    end,
  ) {
    wasm.layerNorm(
      x + begin * columns * 4,
      weight,
      bias,
      end - begin,
      columns,
      epsilon,
      out + begin * columns * 4,
      ofRow(mean, begin),
      ofRow(scale, begin),
    );
  },

  /** Over parts of {@link rowsOfPart} rows, each with its own partial sums. */
  normGradient({ wasm }, args, begin, end) {
    const [x = 0, mean = 0, scale = 0, weight = 0, gradient = 0, scaleGradient = 0] = args;
    const [rows = 0, columns = 0, dX = 0, weightParts = 0, biasParts = 0] = args.slice(6);
    for (let part = begin; part < end; part++) {
      const first = part * rowsOfPart;
      const place = first * columns * 4;
      wasm.normGradient(
        x + place,
        ofRow(mean, first),
        ofRow(scale, first),
        weight,
        gradient + place,
        ofRow(scaleGradient, first),
        Math.min(rowsOfPart, rows - first),
        columns,
        dX === 0 ? 0 : dX + place,
        ofRow(weightParts, part * columns),
        ofRow(biasParts, part * columns),
      );
    }
  },

  /** Over columns: `out` = the sum of `count` parts. */
  sumNormParts({ wasm }, [parts = 0, count = 0, columns = 0, out = 0], begin, end) {
    wasm.sumNormParts(parts + begin * 4, count, columns, end - begin, out + begin * 4);
  },

  /** Over rows. */
  softmaxRows({ wasm }, [x = 0, columns = 0, out = 0], begin, end) {
    const place = begin * columns * 4;
    wasm.softmaxRows(x + place, end - begin, columns, out + place);
  },

  /** Over rows. */
  softmaxGradientRows({ wasm }, [y = 0, gradient = 0, columns = 0, dX = 0], begin, end) {
    const place = begin * columns * 4;
    wasm.softmaxGradientRows(y + place, gradient + place, end - begin, columns, dX + place);
  },

  /** Over rows. */
  logSoftmaxRows({ wasm }, [x = 0, columns = 0, out = 0], begin, end) {
    const place = begin * columns * 4;
    wasm.logSoftmaxRows(x + place, end - begin, columns, out + place);
  },

  /** Over rows. */
  logSoftmaxGradientRows({ wasm }, [y = 0, gradient = 0, columns = 0, dX = 0], begin, end) {
    const place = begin * columns * 4;
    wasm.logSoftmaxGradientRows(y + place, gradient + place, end - begin, columns, dX + place);
  },

  /** Over rows. */
  crossEntropyRows({ wasm }, args, begin, end) {
    const [logits = 0, targets = 0, columns = 0, ignore = 0, smoothing = 0, zLoss = 0] = args;
    const [out = 0, statistics = 0] = args.slice(6);
    wasm.crossEntropyRows(
      logits + begin * columns * 4,
      ofRow(targets, begin),
      end - begin,
      columns,
      ignore,
      smoothing,
      zLoss,
      ofRow(out, begin),
      ofRow(statistics, 2 * begin),
    );
  },

  /** Over rows. */
  crossEntropyGradientRows({ wasm }, args, begin, end) {
    const [logits = 0, targets = 0, columns = 0, ignore = 0, smoothing = 0, zLoss = 0] = args;
    const [statistics = 0, gradient = 0, dLogits = 0] = args.slice(6);
    wasm.crossEntropyGradientRows(
      logits + begin * columns * 4,
      ofRow(targets, begin),
      ofRow(statistics, 2 * begin),
      ofRow(gradient, begin),
      end - begin,
      columns,
      ignore,
      smoothing,
      zLoss,
      dLogits + begin * columns * 4,
    );
  },
} as const satisfies Tasks;

/** Address of a number of a vector; 0 stays 0, for none. */
function ofRow(vector: number, row: number): number {
  return vector === 0 ? 0 : vector + row * 4;
}
