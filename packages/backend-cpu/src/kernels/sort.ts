import type { SortKernels } from "@latentkit/tensor";
import { address, type Runtime } from "../runtime.ts";
import { cumsumBand, selectGrain, sortGrain } from "../tasks/sort.ts";
import { topKOfAll } from "./top-k-all.ts";

export function sortKernels(runtime: Runtime): SortKernels {
  const { wasm, team } = runtime;
  return {
    sortRows(x, rows, columns, descending, values, indices) {
      const args = [
        address(x),
        columns,
        Number(descending),
        Number(x.dtype === "i32"),
        address(values),
        address(indices),
      ];
      team.run("sortRows", args, {
        count: rows,
        grain: sortGrain / columns,
        scratchBytes: columns * 8 + wasm.sortScratchBytes(columns),
      });
    },

    topKRows(x, rows, columns, k, values, indices) {
      team.run("topKRows", [address(x), columns, k, address(values), address(indices)], {
        count: rows,
        grain: selectGrain / columns,
        scratchBytes: wasm.selectScratchBytes(columns),
      });
    },

    topKAll(x, k, values, indices) {
      topKOfAll(runtime, address(x), x.length, k, address(values), address(indices));
    },

    cumsum(x, { outer, axis, inner, reverse, exclusive }, out) {
      const flags = [Number(reverse), Number(exclusive), address(out)];
      if (inner === 1) {
        team.run("cumsumRows", [address(x), axis, ...flags], {
          count: outer,
          grain: selectGrain / axis,
        });
        return;
      }
      team.run("cumsumColumns", [address(x), axis, inner, ...flags], {
        count: outer * Math.ceil(inner / cumsumBand),
        grain: selectGrain / (axis * Math.min(inner, cumsumBand)),
        scratchBytes: cumsumBand * 8,
      });
    },
  };
}
