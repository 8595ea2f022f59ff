import type { ReduceOperator } from "@latentkit/tensor";
import type { Tasks } from "./task.ts";

/** As src/wasm/assembly/reduce.ts numbers them. */
export const reduceOperators: readonly ReduceOperator[] = [
  "logSumExp",
  "max",
  "mean",
  "min",
  "product",
  "sum",
  "sumOfMagnitudes",
  "sumOfSquares",
];

/** Elements of a chunk. */
export const reduceGrain = 32_768;

/** Elements of a part of a long row. Sums depend on it. */
export const partLength = 32_768;

/** Columns of a block: enough for whole cache lines, few enough that a narrow matrix has several blocks. */
export const blockColumns = 128;

/** Visits blocks `begin .. end` of the columns of [outer, axis, inner], with the element that each starts at in x and in out. */
function eachBlock(
  axis: number,
  inner: number,
  begin: number,
  end: number,
  visit: (first: number, firstOut: number, columns: number) => void,
): void {
  const blocks = Math.ceil(inner / blockColumns);
  for (let block = begin; block < end; block++) {
    const outer = Math.floor(block / blocks);
    const column = (block % blocks) * blockColumns;
    const columns = Math.min(blockColumns, inner - column);
    visit(outer * axis * inner + column, outer * inner + column, columns);
  }
}

export const reduceTasks = {
  reduceRows({ wasm }, [operator = 0, x = 0, axis = 0, out = 0], begin, end) {
    wasm.reduceRows(operator, x + begin * axis * 4, end - begin, axis, out + begin * 4);
  },

  /** Over parts of long rows. */
  reduceParts({ wasm }, [operator = 0, x = 0, axis = 0, parts = 0, partials = 0], begin, end) {
    wasm.reduceParts(operator, x, axis, partLength, parts, begin, end, partials);
  },

  /** Over blocks of columns; scratch of 8 bytes for each column of a block. */
  reduceColumns(
    { wasm },
    [operator = 0, x = 0, axis = 0, inner = 0, out = 0],
    begin,
    end,
    scratch,
  ) {
    eachBlock(axis, inner, begin, end, (at, outAt, columns) => {
      wasm.reduceColumns(operator, x + at * 4, axis, inner, columns, out + outAt * 4, scratch);
    });
  },

  varianceRows({ wasm }, [x = 0, axis = 0, divisor = 0, out = 0], begin, end) {
    wasm.varianceRows(x + begin * axis * 4, end - begin, axis, divisor, out + begin * 4);
  },

  /** Scratch of 16 bytes for each column of a block. */
  varianceColumns(
    { wasm },
    [x = 0, axis = 0, inner = 0, divisor = 0, out = 0],
    begin,
    end,
    scratch,
  ) {
    eachBlock(axis, inner, begin, end, (at, outAt, columns) => {
      wasm.varianceColumns(x + at * 4, axis, inner, columns, divisor, out + outAt * 4, scratch);
    });
  },

  productGradient({ wasm }, [x = 0, dOut = 0, axis = 0, inner = 0, dx = 0], begin, end) {
    wasm.productGradient(x, dOut, axis, inner, begin, end, dx);
  },

  argRows({ wasm }, [largest = 0, x = 0, axis = 0, out = 0], begin, end) {
    wasm.argRows(largest, x + begin * axis * 4, end - begin, axis, out + begin * 4);
  },

  /** Scratch of 4 bytes for each column of a block. */
  argColumns({ wasm }, [largest = 0, x = 0, axis = 0, inner = 0, out = 0], begin, end, scratch) {
    eachBlock(axis, inner, begin, end, (at, outAt, columns) => {
      wasm.argColumns(largest, x + at * 4, axis, inner, columns, out + outAt * 4, scratch);
    });
  },

  reduceMask({ wasm }, [all = 0, x = 0, axis = 0, inner = 0, out = 0], begin, end) {
    const from = x + begin * axis * inner;
    wasm.reduceMask(all, from, end - begin, axis, inner, out + begin * inner);
  },
} as const satisfies Tasks;
