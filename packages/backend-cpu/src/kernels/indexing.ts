import { bytesPerElement, type DType } from "@latentkit/core";
import type { AxisPlan, IndexingKernels, Slice } from "@latentkit/tensor";
import { address, type Runtime } from "../runtime.ts";
import { dividedAxis, rowsGrain } from "../tasks/indexing.ts";
import type { TaskName } from "../tasks/index.ts";

/** As src/wasm/assembly/indexing.ts numbers them. */
const tableCodes: Readonly<Partial<Record<DType, number>>> = { f32: 0, f16: 1, bf16: 2 };

/** Bits that an index outside reads: NaN, or 0. */
const missing: Readonly<Record<DType, number>> = {
  f32: 0x7fc00000,
  f16: 0x7e00,
  bf16: 0x7fc0,
  i32: 0,
  u8: 0,
};

/** Columns below which a thread would fetch lines of memory that others write to. */
const fewColumns = 64;
/** Updates below which one thread adds them all. */
const fewUpdates = 16_384;

export function indexingKernels({ wasm, team }: Runtime): IndexingKernels {
  function read(
    task: Extract<TaskName, "indexSelect" | "gatherAxis">,
    x: Slice,
    ids: Slice,
    { outer, axis, inner, picks }: AxisPlan,
    out: Slice,
  ): void {
    const size = bytesPerElement(x.dtype);
    team.run(
      task,
      [address(x), address(ids), axis, inner, picks, size, missing[x.dtype], address(out)],
      { count: outer * picks, grain: rowsGrain / (inner * size) },
    );
  }

  /**
   * Divides the output, never the updates: each element's updates are added by one thread, in their order. By the outer axis where
   * there is one, else by columns, else by ranges of the indexed axis, for each of which all indices are looked at.
   */
  function add(
    task: Extract<TaskName, "indexAdd" | "scatterAddAxis">,
    updates: Slice,
    ids: Slice,
    { outer, axis, inner, picks }: AxisPlan,
    out: Slice,
  ): void {
    const work = outer * inner * picks;
    const [divided, count, parts] =
      outer >= 2 * team.threads
        ? ([dividedAxis.outer, outer, outer] as const)
        : inner >= 2 * fewColumns
          ? ([dividedAxis.inner, inner, Math.floor(inner / fewColumns)] as const)
          : ([dividedAxis.indexed, axis, Math.min(axis, 2 * team.threads)] as const);
    const chunks = work <= fewUpdates ? 1 : Math.min(parts, Math.ceil(work / fewUpdates));
    team.run(
      task,
      [address(updates), address(ids), outer, axis, inner, picks, address(out), divided],
      { count, grain: count / chunks },
    );
  }

  return {
    embedding(table, ids, rows, columns, out) {
      team.run(
        "embedding",
        [
          address(table),
          table.length / columns,
          address(ids),
          columns,
          tableCodes[table.dtype] ?? 0,
          address(out),
        ],
        { count: rows, grain: rowsGrain / (columns * 4) },
      );
    },

    indexSelect: (x, ids, plan, out) => read("indexSelect", x, ids, plan, out),
    gatherAxis: (x, indices, plan, out) => read("gatherAxis", x, indices, plan, out),
    indexAdd: (updates, ids, plan, out) => add("indexAdd", updates, ids, plan, out),
    scatterAddAxis: (updates, indices, plan, out) =>
      add("scatterAddAxis", updates, indices, plan, out),

    oneHot(ids, width, out) {
      team.run("oneHot", [address(ids), width, address(out)], {
        count: ids.length,
        grain: rowsGrain / (width * 4),
      });
    },

    firstOutside(ids, bound, out) {
      wasm.firstOutside(address(ids), ids.length, bound, address(out));
    },
  };
}
