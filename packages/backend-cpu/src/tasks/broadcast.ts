import type { KernelExports } from "../wasm/kernels.generated.ts";
import type { Tasks } from "./task.ts";

/** Kernels of two operands that are broadcast over a matrix: by their numbers in jobs, with the bytes of an operand's and a result's element. */
export const matrixKernels = [
  { name: "binary", bytes: 4, outBytes: 4 },
  { name: "compareF32", bytes: 4, outBytes: 1 },
  { name: "compareI32", bytes: 4, outBytes: 1 },
  { name: "compareU8", bytes: 1, outBytes: 1 },
  { name: "logical", bytes: 1, outBytes: 1 },
] as const satisfies readonly {
  readonly name: keyof KernelExports;
  readonly bytes: number;
  readonly outBytes: number;
}[];

/**
 * Over the rows of a matrix, or over the columns of one that has a single row. Each operand is an address with the elements from
 * row to row and from column to column.
 */
export const broadcastTasks = {
  broadcastPair(
    { wasm },
    [
      kernel = 0,
      operator = 0,
      a = 0,
      aRow = 0,
      aStep = 0,
      b = 0,
      bRow = 0,
      bStep = 0,
      out = 0,
      rows = 0,
      columns = 0,
    ],
    begin,
    end,
  ) {
    const { name, bytes, outBytes } = matrixKernels[kernel] ?? matrixKernels[0];
    const single = rows === 1;
    wasm[name](
      operator,
      a + begin * (single ? aStep : aRow) * bytes,
      aRow,
      aStep,
      b + begin * (single ? bStep : bRow) * bytes,
      bRow,
      bStep,
      out + begin * (single ? 1 : columns) * outBytes,
      single ? 1 : end - begin,
      single ? end - begin : columns,
    );
  },

  select(
    { wasm },
    [
      mask = 0,
      maskRow = 0,
      maskStep = 0,
      a = 0,
      aRow = 0,
      aStep = 0,
      b = 0,
      bRow = 0,
      bStep = 0,
      out = 0,
      rows = 0,
      columns = 0,
    ],
    begin,
    end,
  ) {
    const single = rows === 1;
    wasm.select(
      mask + begin * (single ? maskStep : maskRow),
      maskRow,
      maskStep,
      a + begin * (single ? aStep : aRow) * 4,
      aRow,
      aStep,
      b + begin * (single ? bStep : bRow) * 4,
      bRow,
      bStep,
      out + begin * (single ? 1 : columns) * 4,
      single ? 1 : end - begin,
      single ? end - begin : columns,
    );
  },
} as const satisfies Tasks;
