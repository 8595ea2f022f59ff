import type { Engine } from "../threads/engine.ts";
import type { TaskArguments, Tasks } from "./task.ts";

/** Bytes that a chunk of rows moves. */
export const rowsGrain = 131_072;

export const indexingTasks = {
  /** Over ids: `[table, its rows, ids, columns, dtype, out]`. */
  embedding(
    { wasm },
    [table = 0, tableRows = 0, ids = 0, columns = 0, dtype = 0, out = 0],
    begin,
    end,
  ) {
    wasm.embedding(
      table,
      tableRows,
      ids + begin * 4,
      end - begin,
      columns,
      dtype,
      out + begin * columns * 4,
    );
  },

  /** Over `[outer, picks]`. */
  indexSelect({ wasm }, args, begin, end) {
    const [x = 0, ids = 0, axis = 0, inner = 0, picks = 0, size = 0, missing = 0, out = 0] = args;
    wasm.indexSelect(x, ids, axis, inner, picks, size, missing, out, begin, end);
  },

  /** Over `[outer, picks]`. */
  gatherAxis({ wasm }, args, begin, end) {
    const [x = 0, indices = 0, axis = 0, inner = 0, picks = 0, size = 0] = args;
    const [missing = 0, out = 0] = args.slice(6);
    wasm.gatherAxis(x, indices, axis, inner, picks, size, missing, out, begin, end);
  },

  /** Over the outer axis, the inner one or the indexed one, see {@link addPart}. */
  indexAdd(engine, args, begin, end) {
    addPart(engine, "indexAdd", args, begin, end);
  },

  /** The same with an index for each element. */
  scatterAddAxis(engine, args, begin, end) {
    addPart(engine, "scatterAddAxis", args, begin, end);
  },

  /** Over ids. */
  oneHot({ wasm }, [ids = 0, width = 0, out = 0], begin, end) {
    wasm.oneHot(ids + begin * 4, end - begin, width, out + begin * width * 4);
  },
} as const satisfies Tasks;

/** Which axis of the output is divided among threads: each element belongs to one of them, which adds to it in order. */
export const dividedAxis = { outer: 0, inner: 1, indexed: 2 } as const;

function addPart(
  { wasm }: Engine,
  kernel: "indexAdd" | "scatterAddAxis",
  args: TaskArguments,
  begin: number,
  end: number,
): void {
  const [updates = 0, ids = 0, outer = 0, axis = 0, inner = 0, picks = 0, out = 0, divided = 0] =
    args;
  const range = (which: number, size: number): [number, number] =>
    divided === which ? [begin, end] : [0, size];
  wasm[kernel](
    updates,
    ids,
    axis,
    inner,
    picks,
    out,
    ...range(dividedAxis.outer, outer),
    ...range(dividedAxis.inner, inner),
    ...range(dividedAxis.indexed, axis),
  );
}
